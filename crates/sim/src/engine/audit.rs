//! The auditor: looks on while a run goes by and compares what is done with rules of its own.
//!
//! It hears what the machines are told and sees what they decide, but asks none of them why. Its worlds are the
//! fuzzer's: one load balancer, one target group and one endpoint group in each region.

mod calm;
mod health;
mod law;
mod reached;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use perigee_dataplane::{Asked, Connection, EdgeView, Explanation, Forward, Output, Refusal};
use perigee_geo::PopIndex;
use perigee_health::{HealthState, ProbeFailure, Reach};
use perigee_model::{ClientAffinity, Instant};
use perigee_steering::{Answer, Candidate, Flow, Outcome, RouteReason};

use super::host::Mode;
use super::job::Owner;
use super::nodes::Probing;
use super::slab::Key;
use super::{Engine, seconds};
use crate::record::Failure;
use crate::zero::ZERO;
pub(crate) use calm::{healed_s, patience};
use health::Reference;
use law::Grounds;
pub(crate) use reached::{Counts, NAMES, Reached};

/// A rule that did not hold.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) at_s: f64,
    /// The rule, in a few words.
    pub(crate) rule: &'static str,
    /// What was seen.
    pub(crate) text: String,
    /// The decision in the machines' own words, where there is one.
    pub(crate) explanation: String,
}

/// A lie told to the machines, to see whether the auditor notices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tamper {
    #[default]
    Nothing,
    /// Every check of a target is told to have passed.
    #[cfg(test)]
    ChecksPass,
}

/// Everything the auditor remembers.
pub(crate) struct Audit {
    pub(crate) found: Option<Found>,
    pub(crate) counts: Counts,
    pub(super) tamper: Tamper,
    /// By node.
    targets: Vec<Reference>,
    /// Flows by region, by generation of the configuration, edge and load, while the edge took everything for healthy.
    flows: BTreeMap<(u64, usize, u32), Vec<u64>>,
    /// The dials of each generation in which a flow was judged.
    dials: Vec<(u64, Vec<f64>)>,
    /// Where a client went last from a front tier, under `SOURCE_IP`.
    last: BTreeMap<(usize, IpAddr), (Arc<EdgeView>, PopIndex, usize)>,
    /// By place of a job: the node that its flow was joined to.
    bonds: Vec<Option<u32>>,
    /// By place of a job: its target, and when it was sent there.
    served: Vec<Option<(u32, Instant)>>,
    /// Since when each is up; none while it is not.
    nodes_up: Vec<Option<Instant>>,
    targets_up: Vec<Option<Instant>>,
    edges_up: Vec<Option<Instant>>,
    started: u64,
    failed: u64,
    calm: calm::Calm,
}

impl Audit {
    pub(super) fn found(&mut self, at: Instant, rule: &'static str, text: String, explanation: String) {
        self.found.get_or_insert_with(|| Found { at_s: seconds(at), rule, text, explanation });
    }
}

fn place<T: Clone>(list: &mut Vec<Option<T>>, index: u32) -> &mut Option<T> {
    let at = index as usize;
    if list.len() <= at {
        list.resize(at + 1, None);
    }
    &mut list[at]
}

/// What the engine tells the auditor; each does nothing in a run without one.
impl Engine<'_> {
    /// Lets an auditor look on from the beginning.
    pub(super) fn begin_audit(&mut self, tamper: Tamper) {
        let snapshot = &self.snapshot;
        let mut targets = Vec::new();
        for lb in &snapshot.load_balancers {
            let group = snapshot.target_group(lb.target_groups()[0]);
            let check = &group.health_check;
            let least = group.routing_minimum_healthy;
            let (healthy, unhealthy) = (check.healthy_threshold, check.unhealthy_threshold);
            targets.extend(lb.nodes.iter().map(|_| Reference::new(healthy, unhealthy, least, group.targets.len())));
        }
        self.audit = Some(Box::new(Audit {
            found: None,
            counts: Counts::default(),
            tamper,
            targets,
            flows: BTreeMap::new(),
            dials: Vec::new(),
            last: BTreeMap::new(),
            bonds: Vec::new(),
            served: Vec::new(),
            nodes_up: vec![Some(ZERO); self.nodes.len()],
            targets_up: vec![Some(ZERO); self.targets.len()],
            edges_up: vec![Some(ZERO); self.edges.len()],
            started: 0,
            failed: 0,
            calm: calm::Calm::of(self),
        }));
    }

    /// A check of a target is over; gives what the node is to be told.
    pub(super) fn audit_probed(&mut self, probing: &Probing) -> Result<Option<u16>, ProbeFailure> {
        let Some(audit) = &mut self.audit else { return probing.result };
        let fell = audit.targets[probing.node as usize].checked(probing.id.0 as usize, probing.result);
        audit.counts.add(Reached::TargetsFell, u64::from(fell));
        #[cfg(test)]
        if audit.tamper == Tamper::ChecksPass {
            return Ok(Some(200));
        }
        probing.result
    }

    /// A node was started again.
    pub(super) fn audit_restarted(&mut self, node: u32) {
        if let Some(audit) = &mut self.audit {
            audit.targets[node as usize].restarted();
            audit.counts.add(Reached::NodeRestarts, 1);
        }
    }

    /// Something was broken or mended.
    pub(super) fn audit_modes(&mut self) {
        let Some(audit) = &mut self.audit else { return };
        let now = self.now;
        let note = |up: &mut Option<Instant>, mode: Mode| {
            *up = (mode == Mode::Up).then(|| up.unwrap_or(now));
        };
        audit.nodes_up.iter_mut().zip(&self.nodes).for_each(|(up, n)| note(up, n.host.mode));
        audit.targets_up.iter_mut().zip(&self.targets).for_each(|(up, t)| note(up, t.host.mode));
        audit.edges_up.iter_mut().zip(&self.edges).for_each(|(up, e)| note(up, e.mode));
    }

    /// A request begins.
    pub(super) fn audit_begun(&mut self, index: u32) {
        let Some(audit) = &mut self.audit else { return };
        audit.started += 1;
        *place(&mut audit.bonds, index) = None;
        *place(&mut audit.served, index) = None;
        if audit.calm.begins(self.now) {
            self.audit_calm();
        }
    }

    /// A flow has come to its edge, whose machine decided.
    pub(super) fn audit_opened(&mut self, index: u32, front: usize, connection: &Connection, first: Option<&Output>) {
        let Some(mut audit) = self.audit.take() else { return };
        self.judge_flow(&mut audit, index, front, connection, first);
        self.audit = Some(audit);
    }

    fn judge_flow(
        &mut self,
        audit: &mut Audit,
        index: u32,
        front: usize,
        connection: &Connection,
        first: Option<&Output>,
    ) {
        let job = self.jobs.at(index);
        let (client, edge, owner, number) = (job.client, job.edge as usize, job.owner, job.number);
        let (view, decision, pop) = (connection.view(), connection.decision(), connection.pop());
        let now = self.now;
        let destination = self.destination(index);
        let flow = Flow { client, destination };
        let mut wrong = |rule, text| {
            let asked = Asked { method: "GET", host: None, path: "/" };
            let explained = Explanation::new(view, &flow, &asked, |_, _| None);
            let explanation = explained.map(|e| e.to_string()).unwrap_or_default();
            audit.found(now, rule, text, explanation);
        };
        let (Outcome::Endpoint { .. }, Some(Output::Connect { candidate, .. })) = (decision.outcome, first) else {
            return wrong("every flow finds an endpoint", format!("flow {number} of {client} was refused"));
        };
        let lb = candidate.load_balancer.0;
        let order: Vec<usize> = view.atlas.pop_order(pop).iter().map(|leg| leg.region.0).collect();
        let dials: Vec<f64> = self.snapshot.accelerators[0].listeners[0]
            .endpoint_groups
            .iter()
            .map(|group| group.traffic_dial.percent())
            .collect();
        let healthy: Vec<bool> =
            view.health.load_balancers.iter().map(|l| l.effective() == HealthState::Healthy).collect();
        let region = || self.snapshot.regions[lb].code.to_string();
        if self.each_edge && pop.0 != edge {
            wrong("an edge decides as itself", format!("edge {edge} decided as edge {}", pop.0));
        }
        let grounds = Grounds { order: &order, dials: &dials, healthy: &healthy };
        if let Err(why) = law::judge(&grounds, lb, decision.reason) {
            let text = format!("a flow of {client} was sent to {}: {why}", region());
            wrong("no flow to a region known dead, none past its dial", text);
        }
        let nodes = &view.health.load_balancers[lb].nodes;
        if nodes.iter().any(|n| n.in_service) && !nodes[candidate.node].in_service {
            let text = format!("a flow of {client} was sent to {}, whose zone is out of service", candidate.address);
            wrong("no flow to a zone out of service", text);
        }
        let by_address = self.snapshot.accelerators[0].listeners[0].client_affinity == ClientAffinity::SourceIp;
        if by_address {
            let known = audit.last.insert((front, client.ip()), (Arc::clone(view), pop, lb));
            if let Some((before, from, was)) = known
                && Arc::ptr_eq(&before, view)
                && from == pop
            {
                audit.counts.add(Reached::SameClientAgain, 1);
                if was != lb {
                    let text = format!("{client} went to {} and now to {}", self.snapshot.regions[was].code, region());
                    audit.found(now, "a client under SOURCE_IP stays", text, String::new());
                }
            }
        } else if let Owner::Load(load) = owner
            && healthy.iter().all(|h| *h)
        {
            let key = (self.snapshot.generation, pop.0, load);
            let counts = audit.flows.entry(key).or_insert_with(|| vec![0; healthy.len()]);
            counts[lb] += 1;
            if audit.dials.last().is_none_or(|(generation, _)| *generation != self.snapshot.generation) {
                audit.dials.push((self.snapshot.generation, dials));
            }
        }
        audit.counts.add(Reached::FlowsJudged, 1);
        match decision.reason {
            RouteReason::Failover => audit.counts.add(Reached::Failovers, 1),
            RouteReason::FailOpen => audit.counts.add(Reached::EdgeFailOpens, 1),
            RouteReason::Dial => audit.counts.add(Reached::DialsPassedOn, 1),
            RouteReason::Closest | RouteReason::NoEndpoint => {}
        }
        audit.calm_flow(now, &flow, connection);
    }

    /// A flow was refused as a whole.
    pub(super) fn audit_refused(&mut self, index: u32, refusal: Refusal) {
        let client = self.jobs.at(index).client;
        let Some(audit) = &mut self.audit else { return };
        audit.counts.add(Reached::FlowsRefused, 1);
        if !matches!(refusal, Refusal::Refused | Refusal::TimedOut) {
            audit.found(
                self.now,
                "every flow finds an endpoint",
                format!("{client} was told {refusal}"),
                String::new(),
            );
        }
    }

    /// A connection tries an address.
    pub(super) fn audit_attempt(&mut self, key: Key, candidate: &Candidate) {
        let Some(audit) = &mut self.audit else { return };
        let Some(opening) = self.openings.get_mut(key) else { return };
        let Some((node, before)) = opening.attempts.split_last() else { return };
        audit.counts.add(Reached::Retries, u64::from(!before.is_empty()));
        let twice = before.contains(node);
        let alone = self.snapshot.settings.behaviour == perigee_model::Behaviour::Aws && !before.is_empty();
        if twice || alone {
            let text = format!("attempt {} goes to {}", before.len() + 1, candidate.address);
            audit.found(self.now, "a connection tries no address twice, in aws one alone", text, String::new());
        }
    }

    /// A flow is joined to a node.
    pub(super) fn audit_joined(&mut self, index: u32, node: u32) {
        let Some(audit) = &mut self.audit else { return };
        let bond = place(&mut audit.bonds, index);
        let before = bond.replace(node);
        if let Some(before) = before {
            let text = format!("request {index} was joined to node {before} and then to node {node}");
            audit.found(self.now, "no flow moves", text, String::new());
        }
    }

    /// A connection was joined to another load balancer than it tried first.
    pub(super) fn audit_used(&mut self, attempts: &[u32], node: u32) {
        let Some(audit) = &mut self.audit else { return };
        let elsewhere = attempts.first().is_some_and(|first| *first != node);
        audit.counts.add(Reached::JoinedElsewhere, u64::from(elsewhere));
    }

    /// A connection said this after it was used or refused.
    pub(super) fn audit_drained(&mut self, output: &Output) {
        let Some(audit) = &mut self.audit else { return };
        if matches!(output, Output::Use { .. } | Output::Refuse(_) | Output::Connect { .. }) {
            let text = format!("a connection that was over said {output:?}");
            audit.found(self.now, "no flow moves", text, String::new());
        }
    }

    /// A request is at a node that is up.
    pub(super) fn audit_arrived(&mut self, index: u32, node: u32) {
        let Some(audit) = &mut self.audit else { return };
        let joined = *place(&mut audit.bonds, index).get_or_insert(node);
        if joined != node {
            let text = format!("request {index} was joined to node {joined} and came to node {node}");
            audit.found(self.now, "no flow moves", text, String::new());
        }
    }

    /// A node sends a request to a target.
    pub(super) fn audit_forward(&mut self, index: u32, node: u32, target: u32, forward: &Forward) {
        let Some(audit) = &mut self.audit else { return };
        *place(&mut audit.served, index) = Some((target, self.now));
        audit.counts.add(Reached::RequestsRouted, 1);
        audit.counts.add(Reached::TargetFailOpens, u64::from(forward.fail_open));
        let id = forward.token.target_id().0 as usize;
        if let Err(why) = audit.targets[node as usize].may_serve(id, forward.fail_open) {
            let balancer = &self.nodes[node as usize].balancer;
            let head = perigee_rules::RequestHead { host: Some("app.perigee.test"), path: "/" };
            let explanation = format!("the node's next decision:\n{}", balancer.explain(self.port, &head));
            let (address, zone) = (forward.target.address, &forward.target.zone);
            let text = format!("a request was sent to {address} in {zone}: {why}");
            audit.found(self.now, "no request to a target known dead", text, explanation);
        }
    }

    /// A node answers a request itself.
    pub(super) fn audit_responded(&mut self, node: u32, status: u16) {
        let Some(audit) = &mut self.audit else { return };
        let text = format!("node {node} answered {status} itself");
        audit.found(self.now, "a node with targets sends requests to them", text, String::new());
    }

    /// A node has an answer for its client.
    pub(super) fn audit_finished(&mut self, index: u32) {
        let job = self.jobs.at(index);
        let (bad, link) = (job.bad, job.link);
        let Some(audit) = &mut self.audit else { return };
        if bad {
            return audit.counts.add(Reached::BadStatus, 1);
        }
        let served = place(&mut audit.served, index).take();
        let (Some((target, since)), Some(link)) = (served, link) else {
            return audit.found(self.now, "no answer from nobody", format!("request {index}"), String::new());
        };
        let was_up = |up: Option<Instant>| up.is_some_and(|at| at <= since);
        let edge = link.edge.is_none_or(|e| was_up(audit.edges_up[e as usize]));
        if !(edge && was_up(audit.nodes_up[link.node as usize]) && was_up(audit.targets_up[target as usize])) {
            let text = format!("request {index} at node {} and target {target}, edge {:?}", link.node, link.edge);
            audit.found(self.now, "no answer from a machine that was down", text, String::new());
        }
    }

    /// A request has failed for its client.
    pub(super) fn audit_failed(&mut self, index: u32, at: Instant, failure: Failure) {
        let job = self.jobs.at(index);
        let (started, late, client) = (job.started, at >= job.deadline, job.client);
        let region = job.region.map(|r| self.snapshot.regions[r as usize].code.to_string());
        let Some(audit) = &mut self.audit else { return };
        audit.failed += 1;
        match failure {
            _ if late => audit.counts.add(Reached::TimedOut, 1),
            Failure::NewConnection => audit.counts.add(Reached::Resets, 1),
            Failure::InFlight => audit.counts.add(Reached::LostInFlight, 1),
            Failure::Status | Failure::Resolve => {}
        }
        if audit.calm.has_come(started) && audit.calm.certain {
            let way = region.unwrap_or_else(|| "nowhere".to_owned());
            let text = format!("a request of {client} to {way} failed by {}", failure.name());
            audit.found(at, "no request fails in the calm", text, String::new());
        }
    }

    /// The DNS server answers.
    pub(super) fn audit_answer(&mut self, client: IpAddr, answer: &Answer) {
        let Some(audit) = &mut self.audit else { return };
        let view = self.fronts[0].edge.view();
        let order = view.atlas.order_of_network(client);
        let states: Vec<(usize, HealthState)> =
            order.iter().map(|leg| (leg.region.0, view.health.load_balancers[leg.region.0].effective())).collect();
        let first = |wanted| states.iter().find(|(_, state)| *state == wanted).map(|(region, _)| *region);
        let healthy = first(HealthState::Healthy);
        let meant = healthy.or_else(|| first(HealthState::Initial)).or(states.first().map(|(region, _)| *region));
        let named = answer.region.map(|r| r.0);
        audit.counts.add(Reached::DnsAnswers, 1);
        audit.counts.add(Reached::DnsFailOpens, u64::from(healthy.is_none()));
        audit.counts.add(Reached::DnsFailovers, u64::from(named != states.first().map(|(region, _)| *region)));
        if named != meant || answer.addresses.is_empty() {
            let name = view.snapshot.dns.latency_names.first();
            let explanation = name.map_or_else(String::new, |name| view.explain_name(name, client).to_string());
            let text = format!("{client} was told region {named:?}, not {meant:?}");
            audit.found(self.now, "DNS names the closest healthy region", text, explanation);
        }
        audit.calm_answer(self.now, client, named, states.first().map(|(region, _)| *region));
    }

    /// A client goes where a DNS answer said.
    pub(super) fn audit_named(&mut self, region: usize) {
        let Some(audit) = &mut self.audit else { return };
        audit.counts.add(Reached::DnsStale, u64::from(!self.fronts[0].healthy[region]));
    }

    /// A front tier's view of its load balancers, for the counts.
    pub(super) fn audit_learned(&mut self, front: usize, healthy: bool) {
        let Some(audit) = &mut self.audit else { return };
        audit.counts.add(Reached::FrontsLostRegion, u64::from(!healthy));
        let nodes = self.fronts[front].edge.view().health.load_balancers.iter().flat_map(|lb| &lb.nodes);
        let held = nodes.filter(|n| n.reach == Reach::Recovering).count();
        audit.counts.add(Reached::HeldBack, held as u64);
    }
}
