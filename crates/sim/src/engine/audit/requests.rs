//! Requests: which targets they go to, who answers them, and which fail.

use perigee_dataplane::Forward;
use perigee_model::Instant;
use perigee_rules::RequestHead;

use super::{Engine, Reached, place};
use crate::record::Failure;

impl Engine<'_> {
    /// A request is at a node that is up.
    pub(in crate::engine) fn audit_arrived(&mut self, index: u32, node: u32) {
        let Some(audit) = &mut self.audit else { return };
        let joined = *place(&mut audit.bonds, index).get_or_insert(node);
        if joined != node {
            let text = format!("request {index} was joined to node {joined} and came to node {node}");
            audit.found(self.now, "no flow moves", text, String::new());
        }
    }

    /// A node sends a request to a target.
    pub(in crate::engine) fn audit_forward(&mut self, index: u32, node: u32, target: u32, forward: &Forward) {
        let Some(audit) = &mut self.audit else { return };
        *place(&mut audit.served, index) = Some((target, self.now));
        audit.counts.add(Reached::RequestsRouted, 1);
        audit.counts.add(Reached::TargetFailOpens, u64::from(forward.fail_open));
        let id = forward.token.target_id().0 as usize;
        if let Err(why) = audit.targets[node as usize].may_serve(id, forward.fail_open) {
            let balancer = &self.nodes[node as usize].balancer;
            let head = RequestHead { host: Some("app.perigee.test"), path: "/" };
            let explanation = format!("the node's next decision:\n{}", balancer.explain(self.port, &head));
            let (address, zone) = (forward.target.address, &forward.target.zone);
            let text = format!("a request was sent to {address} in {zone}: {why}");
            audit.found(self.now, "no request to a target known dead", text, explanation);
        }
    }

    /// A node answers a request itself.
    pub(in crate::engine) fn audit_responded(&mut self, node: u32, status: u16) {
        let Some(audit) = &mut self.audit else { return };
        let text = format!("node {node} answered {status} itself");
        audit.found(self.now, "a node with targets sends requests to them", text, String::new());
    }

    /// A node has an answer for its client.
    pub(in crate::engine) fn audit_finished(&mut self, index: u32) {
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
    pub(in crate::engine) fn audit_failed(&mut self, index: u32, at: Instant, failure: Failure) {
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
}
