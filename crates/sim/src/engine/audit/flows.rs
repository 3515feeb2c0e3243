//! Flows: where edges send them, and that they stay there.

use std::sync::Arc;

use perigee_dataplane::{Asked, Connection, Explanation, Output, Refusal};
use perigee_health::HealthState;
use perigee_model::{Behaviour, ClientAffinity};
use perigee_steering::{Candidate, Flow, Outcome, RouteReason, Via};

use super::law::{self, Grounds};
use super::{Audit, Engine, Reached, place};
use crate::engine::job::Owner;
use crate::engine::slab::Key;

impl Engine<'_> {
    /// A flow has come to its edge, whose machine decided.
    pub(in crate::engine) fn audit_opened(
        &mut self,
        index: u32,
        front: usize,
        connection: &Connection,
        first: Option<&Output>,
    ) {
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
        let flow = Flow::tcp(client, destination);
        let mut wrong = |rule, text| {
            let asked = Asked { method: "GET", host: None, path: "/" };
            let explained = Explanation::new(view, &flow, &asked, |_, _| None);
            let explanation = explained.map(|e| e.to_string()).unwrap_or_default();
            audit.found(now, rule, text, explanation);
        };
        let (Outcome::Endpoint { .. }, Some(Output::Connect { candidate, .. })) = (decision.outcome, first) else {
            return wrong("every flow finds an endpoint", format!("flow {number} of {client} was refused"));
        };
        let Via::Node { load_balancer, node } = candidate.via else {
            return wrong("every flow finds an endpoint", format!("flow {number} of {client} left the load balancers"));
        };
        let lb = load_balancer.0;
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
        if nodes.iter().any(|n| n.in_service) && !nodes[node].in_service {
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
            RouteReason::Closest | RouteReason::NoEndpoint | RouteReason::NoIpv6Endpoint => {}
        }
        audit.calm_flow(now, &flow, connection);
    }

    /// A flow was refused as a whole.
    pub(in crate::engine) fn audit_refused(&mut self, index: u32, refusal: Refusal) {
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
    pub(in crate::engine) fn audit_attempt(&mut self, key: Key, candidate: &Candidate) {
        let Some(audit) = &mut self.audit else { return };
        let Some(opening) = self.openings.get_mut(key) else { return };
        let Some((node, before)) = opening.attempts.split_last() else { return };
        audit.counts.add(Reached::Retries, u64::from(!before.is_empty()));
        let twice = before.contains(node);
        let alone = self.snapshot.settings.behaviour == Behaviour::Aws && !before.is_empty();
        if twice || alone {
            let text = format!("attempt {} goes to {}", before.len() + 1, candidate.address);
            audit.found(self.now, "a connection tries no address twice, in aws one alone", text, String::new());
        }
    }

    /// A flow is joined to a node.
    pub(in crate::engine) fn audit_joined(&mut self, index: u32, node: u32) {
        let Some(audit) = &mut self.audit else { return };
        let bond = place(&mut audit.bonds, index);
        let before = bond.replace(node);
        if let Some(before) = before {
            let text = format!("request {index} was joined to node {before} and then to node {node}");
            audit.found(self.now, "no flow moves", text, String::new());
        }
    }

    /// A connection was joined to another load balancer than it tried first.
    pub(in crate::engine) fn audit_used(&mut self, attempts: &[u32], node: u32) {
        let Some(audit) = &mut self.audit else { return };
        let elsewhere = attempts.first().is_some_and(|first| *first != node);
        audit.counts.add(Reached::JoinedElsewhere, u64::from(elsewhere));
    }

    /// A connection said this after it was used or refused.
    pub(in crate::engine) fn audit_drained(&mut self, output: &Output) {
        let Some(audit) = &mut self.audit else { return };
        if matches!(output, Output::Use { .. } | Output::Refuse(_) | Output::Connect { .. }) {
            let text = format!("a connection that was over said {output:?}");
            audit.found(self.now, "no flow moves", text, String::new());
        }
    }
}
