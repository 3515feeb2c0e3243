use std::time::Instant;

use perigee_model::RegionIndex;
use prometheus_client::metrics::counter::Counter;

use super::tables::Tables;
use super::write::Rcode;
use crate::Metrics;
use crate::cookie::Standing;
use crate::metrics::{AnswerLabels, NO_REGION, POLICIES, QueryLabels};
use crate::zones::Node;

/// Kinds of names, as the counters tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Apex,
    NameServer,
    Static,
    Accelerator,
    LoadBalancer,
    Latency,
    Policy,
    Empty,
    Absent,
}

impl Kind {
    /// None: such names are answered on the slow path.
    pub(super) const fn of(node: Node) -> Option<Self> {
        Some(match node {
            Node::Apex => Self::Apex,
            Node::NameServer => Self::NameServer,
            Node::Static => Self::Static,
            Node::Accelerator(_) => Self::Accelerator,
            Node::LoadBalancer(_) => Self::LoadBalancer,
            Node::Latency(_) => Self::Latency,
            Node::Policy(_) => Self::Policy,
            Node::EmptyNonTerminal => Self::Empty,
            Node::Delegation | Node::Why(_) => return None,
        })
    }
}

/// In the order of [`Kind`], with the counters' words for them.
const KINDS: [&str; 9] =
    ["apex", "name_server", "static", "accelerator", "load_balancer", "latency", "policy", "empty", "absent"];

/// What one worker has counted since it last told the counters that everybody shares: they cost more than an answer
/// when many workers count at once.
pub(super) struct Tally {
    /// By kind, without error and with NXDOMAIN.
    answered: [[(u64, Option<Counter>); 2]; KINDS.len()],
    /// By region, then by policy; what names no region stands at the end.
    decided: Vec<[(u64, Option<Counter>); POLICIES.len()]>,
    /// Regions by code, to name a counter when it is first needed.
    codes: Vec<String>,
    metrics: Metrics,
}

impl Tally {
    pub(super) fn new(metrics: &Metrics, tables: &Tables) -> Self {
        let regions = tables.view.snapshot.regions.iter().map(|region| region.code.to_string());
        let codes: Vec<String> = regions.chain([NO_REGION.to_owned()]).collect();
        Self {
            answered: Default::default(),
            decided: vec![Default::default(); codes.len()],
            codes,
            metrics: metrics.clone(),
        }
    }

    pub(super) fn answered(&mut self, kind: Kind, rcode: Rcode) {
        self.answered[kind as usize][usize::from(rcode == Rcode::NxDomain)].0 += 1;
    }

    /// A policy decided for the region, if it is one's.
    pub(super) fn decided(&mut self, policy: u8, region: Option<RegionIndex>) {
        let at = region.map_or(self.codes.len() - 1, |region| region.0);
        let counts = self.decided.get_mut(at).and_then(|policies| policies.get_mut(usize::from(policy)));
        if let Some((count, _)) = counts {
            *count += 1;
        }
    }

    /// Tells the shared counters. The answers of a batch that began at `began` share the time it took: reading the clock
    /// for each would be a good part of it.
    pub(super) fn flush(&mut self, began: Instant) {
        let answers: u64 = self.answered.iter().flatten().map(|(count, _)| count).sum();
        if answers == 0 {
            return;
        }
        // A batch has 64 datagrams at most.
        self.metrics.latency.observe_many(began.elapsed() / u32::try_from(answers).unwrap_or(u32::MAX), answers);
        self.metrics.count_cookies(Standing::None, answers);
        for (kinds, kind) in self.answered.iter_mut().zip(KINDS) {
            for ((count, counter), rcode) in kinds.iter_mut().zip(["NOERROR", "NXDOMAIN"]) {
                tell(count, counter, || {
                    let labels = QueryLabels { transport: "udp", kind, rcode };
                    self.metrics.queries.get_or_create_owned(&labels)
                });
            }
        }
        for (policies, region) in self.decided.iter_mut().zip(&self.codes) {
            for ((count, counter), policy) in policies.iter_mut().zip(POLICIES) {
                tell(count, counter, || {
                    self.metrics.answers.get_or_create_owned(&AnswerLabels { policy, region: region.clone() })
                });
            }
        }
    }
}

fn tell(count: &mut u64, counter: &mut Option<Counter>, make: impl FnOnce() -> Counter) {
    if *count > 0 {
        counter.get_or_insert_with(make).inc_by(*count);
        *count = 0;
    }
}
