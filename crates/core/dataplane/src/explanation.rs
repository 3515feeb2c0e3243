use std::fmt;

use perigee_health::HealthState;
use perigee_rules::{RequestHead, RuleOutcome};
use perigee_steering::Flow;
use serde::{Deserialize, Serialize};

use crate::{BalancerTrace, ChosenEndpoint, ConsideredEndpoint, EdgeView, NameExplanation, Refusal, RouteExplanation};

/// The whole way of one request, hop by hop: what DNS says, which edge and endpoint take its flow, which target the
/// request.
///
/// The one explanation of a decision there is: `perigee explain`, `/v1/explain` and the simulator show it, and `_why`
/// in DNS its part about names. Made by the code that decides, from the state it decides on. [`fmt::Display`] gives the
/// text for people, several lines without a line break at the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// What DNS would answer this client, per name of the latency policy.
    pub names: Vec<NameExplanation>,
    /// What the accelerator would do with its flow.
    pub route: RouteExplanation,
    /// What the load balancer node would do with the request; none when nobody asked the node.
    pub request: Option<BalancerTrace>,
    /// The request's method and path, for the text; not part of the serialized form, whose reader knows what it asked.
    #[serde(skip)]
    pub request_line: String,
}

/// A request to be explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// Its method; no rule looks at it.
    pub method: &'a str,
    /// Its `Host`; none for the address and port that the flow goes to.
    pub host: Option<&'a str>,
    /// Its path, without query.
    pub path: &'a str,
}

impl Explanation {
    /// Explains what would happen to a request in a new flow; sends nothing and changes nothing.
    ///
    /// `regional` asks the node that the flow is routed to, by [`Balancer::explain`](crate::Balancer::explain) on the
    /// port of its address; it gives none for a node it cannot ask, and is not called for a flow that is refused.
    /// Errors: those of [`EdgeView::open`].
    pub fn new(
        view: &EdgeView,
        flow: &Flow,
        asked: &Asked<'_>,
        regional: impl FnOnce(&ChosenEndpoint, &RequestHead<'_>) -> Option<BalancerTrace>,
    ) -> Result<Self, Refusal> {
        let client = flow.client.ip();
        let names = view.snapshot.dns.latency_names.iter().map(|name| view.explain_name(name, client)).collect();
        let route = view.explain(flow)?;
        let destination = route.destination.to_string();
        let head = RequestHead { host: Some(asked.host.unwrap_or(&destination)), path: asked.path };
        let at_node = route.chosen.as_ref().filter(|chosen| chosen.zone.is_some());
        let request = at_node.and_then(|chosen| regional(chosen, &head));
        Ok(Self { names, route, request, request_line: format!("{} {}", asked.method, asked.path) })
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let route = &self.route;
        write!(f, "client   {} is in {} ({})", route.client, route.place, route.place_origin)?;
        for name in &self.names {
            write!(f, "\n{name}")?;
        }
        write!(f, "\n{route}")?;
        match &self.request {
            Some(trace) => write!(f, "\nregion   {}, rules by priority:\n{trace}", self.request_line),
            None => match route.chosen.as_ref().filter(|chosen| chosen.zone.is_none()) {
                Some(direct) => write!(f, "\nregion   the {} gets the flow as it is: no rules", direct.kind),
                None => f.write_str("\nregion   the load balancer node runs in another process; ask its admin API"),
            },
        }
    }
}

impl fmt::Display for NameExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let region = self.region.as_deref().unwrap_or("nothing");
        write!(f, "DNS      {} -> {region} for {} s: {}", self.label, self.ttl_s, self.reason)?;
        for (region, rtt_ms, health) in &self.considered {
            write!(f, "\n           {region:<16} {rtt_ms:>6.1} ms  {}", word(*health))?;
        }
        Ok(())
    }
}

/// The hops from the anycast address to the node; the client's own line is the [`Explanation`]'s.
impl fmt::Display for RouteExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pop, city, ms) = (&self.pop, &self.pop_city, self.client_to_pop_ms);
        writeln!(f, "anycast  {} -> edge {pop} ({city}), about {ms:.0} ms away", self.destination)?;
        write!(f, "edge     accelerator {}, endpoint groups by distance:", self.accelerator)?;
        for group in &self.groups {
            let (region, rtt_ms, dial) = (&group.region, group.rtt_ms, group.traffic_dial);
            write!(f, "\n           {region:<16} {rtt_ms:>6.1} ms  dial {dial:>3}  ")?;
            for (i, endpoint) in group.endpoints.iter().enumerate() {
                let ConsideredEndpoint { id, weight, measured, forced, hash, .. } = endpoint;
                let comma = if i == 0 { "" } else { ", " };
                write!(f, "{comma}{id} (weight {weight}, {}", word(*measured))?;
                if let Some(forced) = forced {
                    write!(f, ", forced {}", format!("{forced:?}").to_lowercase())?;
                }
                // Alone in its group it needs no draw.
                if group.endpoints.len() > 1 {
                    write!(f, ", hash {hash:.3}")?;
                }
                f.write_str(")")?;
            }
            let notes = if group.notes.is_empty() { "not needed".to_owned() } else { group.notes.join("; ") };
            write!(f, "  <- {notes}")?;
        }
        match &self.chosen {
            Some(ChosenEndpoint { region, endpoint, zone, address, .. }) => {
                let zone = zone.as_ref().map_or_else(String::new, |zone| format!(" in {zone}"));
                write!(f, "\n           -> {region} {endpoint}{zone} at {address}: {}", self.reason)
            }
            None => write!(f, "\n           -> reset: {}", self.reason),
        }
    }
}

/// The rules, the group's targets and whose turn it is.
impl fmt::Display for BalancerTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for rule in &self.rules {
            let priority = rule.priority.map_or_else(|| "default".to_owned(), |p| p.to_string());
            let outcome = match rule.outcome {
                RuleOutcome::Matched => "matched",
                RuleOutcome::PassedOver { .. } => "passed over",
            };
            writeln!(f, "           rule {priority:<8} {outcome}")?;
        }
        if let Some(group) = &self.target_group {
            let open = if self.fail_open { " (fails open: all registered targets)" } else { "" };
            writeln!(f, "           target group {group}{open}:")?;
        }
        for target in &self.targets {
            let address = format!("{}:{}", target.target.address, target.target.port);
            let reason = target.reason.map_or_else(String::new, |reason| format!(" {}", reason.code()));
            writeln!(f, "           {address:<22} {}{reason}, {} in flight", target.state.name(), target.in_flight)?;
        }
        match (&self.chosen, &self.refusal) {
            (Some(target), _) => {
                write!(f, "           -> {}:{} in {}: next in turn", target.address, target.port, target.zone)
            }
            (None, Some(refusal)) => write!(f, "           -> refused: {refusal}"),
            (None, None) => f.write_str("           -> refused"),
        }
    }
}

const fn word(health: HealthState) -> &'static str {
    match health {
        HealthState::Initial => "not judged yet",
        HealthState::Healthy => "healthy",
        HealthState::Unhealthy => "unhealthy",
    }
}

#[cfg(test)]
#[path = "explanation/tests.rs"]
mod tests;
