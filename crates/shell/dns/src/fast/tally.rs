use perigee_model::RegionIndex;
use prometheus_client::metrics::counter::Counter;

use super::tables::Tables;
use super::write::Rcode;
use crate::Metrics;
use crate::metrics::{QueryLabels, RegionLabels};

/// Kinds of names, as the counters tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    NameServer,
    Accelerator,
    LoadBalancer,
    Latency,
    Empty,
    Absent,
}

const KINDS: [(Kind, &str); 6] = [
    (Kind::NameServer, "name_server"),
    (Kind::Accelerator, "accelerator"),
    (Kind::LoadBalancer, "load_balancer"),
    (Kind::Latency, "latency"),
    (Kind::Empty, "empty"),
    (Kind::Absent, "absent"),
];

/// What one worker has counted since it last told the counters that everybody shares: they cost more than an answer
/// when many workers count at once.
pub(super) struct Tally {
    /// By kind, without error and with NXDOMAIN.
    answered: [[(u64, Option<Counter>); 2]; KINDS.len()],
    regions: Vec<(u64, Option<Counter>)>,
    last_region: Option<RegionIndex>,
    /// Regions by code, to name a counter when it is first needed.
    codes: Vec<String>,
    metrics: Metrics,
}

impl Tally {
    pub(super) fn new(metrics: &Metrics, tables: &Tables) -> Self {
        let codes: Vec<String> = tables.view.snapshot.regions.iter().map(|region| region.code.to_string()).collect();
        Self {
            answered: Default::default(),
            regions: vec![(0, None); codes.len()],
            last_region: None,
            codes,
            metrics: metrics.clone(),
        }
    }

    pub(super) fn answered(&mut self, kind: Kind, rcode: Rcode) {
        self.answered[kind as usize][usize::from(rcode == Rcode::NxDomain)].0 += 1;
        self.last_region = None;
    }

    pub(super) fn region(&mut self, region: RegionIndex) {
        if let Some((count, _)) = self.regions.get_mut(region.0) {
            *count += 1;
            self.last_region = Some(region);
        }
    }

    /// Takes the last answer's region back: it was not sent after all.
    pub(super) fn forget_region(&mut self) {
        if let Some((count, _)) = self.last_region.take().and_then(|region| self.regions.get_mut(region.0)) {
            *count -= 1;
        }
    }

    /// Tells the shared counters.
    pub(super) fn flush(&mut self) {
        for (kinds, (_, kind)) in self.answered.iter_mut().zip(KINDS) {
            for ((count, counter), rcode) in kinds.iter_mut().zip(["NOERROR", "NXDOMAIN"]) {
                tell(count, counter, || {
                    let labels = QueryLabels { transport: "udp", kind, rcode };
                    self.metrics.queries.get_or_create_owned(&labels)
                });
            }
        }
        for ((count, counter), code) in self.regions.iter_mut().zip(&self.codes) {
            tell(count, counter, || self.metrics.answers.get_or_create_owned(&RegionLabels { region: code.clone() }));
        }
    }
}

fn tell(count: &mut u64, counter: &mut Option<Counter>, make: impl FnOnce() -> Counter) {
    if *count > 0 {
        counter.get_or_insert_with(make).inc_by(*count);
        *count = 0;
    }
}
