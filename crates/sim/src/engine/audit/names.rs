//! Names: which region DNS tells its clients.

use std::net::IpAddr;

use perigee_health::HealthState;
use perigee_steering::Answer;

use super::{Engine, Reached};

impl Engine<'_> {
    /// The DNS server answers.
    pub(in crate::engine) fn audit_answer(&mut self, client: IpAddr, answer: &Answer) {
        let Some(audit) = &mut self.audit else { return };
        let view = self.fronts[0].edge.view();
        let order = view.atlas.order_of_network(client);
        let states: Vec<(usize, HealthState)> =
            order.iter().map(|leg| (leg.region.0, view.health.load_balancers[leg.region.0].effective())).collect();
        let first = |wanted| states.iter().find(|(_, state)| *state == wanted).map(|(region, _)| *region);
        let healthy = first(HealthState::Healthy);
        let meant = healthy.or_else(|| first(HealthState::Initial)).or_else(|| states.first().map(|s| s.0));
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
    pub(in crate::engine) fn audit_named(&mut self, region: usize) {
        let Some(audit) = &mut self.audit else { return };
        audit.counts.add(Reached::DnsStale, u64::from(!self.fronts[0].healthy[region]));
    }
}
