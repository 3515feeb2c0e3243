use perigee_model::dns::{DnsCheckKind, DnsHealthCheck};

/// More than this many percent of the probers must say healthy (`spec/dns.md` section 2.5, "Aggregation").
const QUORUM_PERCENT: usize = 18;

/// Whether `votes` of `probers` probers make an endpoint healthy: more than 18 % of them. One of five is enough, one of
/// six is not; a single prober decides alone. Without a prober nobody says unhealthy.
pub(super) const fn has_quorum(votes: usize, probers: usize) -> bool {
    probers == 0 || votes * 100 > QUORUM_PERCENT * probers
}

/// Whether a calculated check with `threshold` is healthy with `healthy` healthy children: at least so many. Zero is
/// always healthy, more than there are children never (`spec/dns.md` section 2.5, `HealthThreshold`).
pub(super) fn is_met(threshold: u16, healthy: usize) -> bool {
    healthy >= usize::from(threshold)
}

/// Positions of `checks` such that children stand before their parents; every position once.
///
/// A circle, which no maker of a snapshot lets through, ends where it closes.
pub(super) fn children_first(checks: &[DnsHealthCheck]) -> Vec<usize> {
    let mut order = Vec::with_capacity(checks.len());
    let mut seen = vec![false; checks.len()];
    for root in 0..checks.len() {
        // The way down, each with how many of its children have been looked at; no recursion, so that no depth of
        // nesting can exhaust the stack.
        let mut way = Vec::new();
        if !std::mem::replace(&mut seen[root], true) {
            way.push((root, 0));
        }
        while let Some((at, looked_at)) = way.last_mut() {
            let child = children(&checks[*at]).get(*looked_at).map(|index| index.0);
            *looked_at += 1;
            match child {
                None => {
                    order.push(*at);
                    way.pop();
                }
                Some(child) if child < checks.len() && !std::mem::replace(&mut seen[child], true) => {
                    way.push((child, 0));
                }
                Some(_) => {}
            }
        }
    }
    order
}

fn children(check: &DnsHealthCheck) -> &[perigee_model::HealthCheckIndex] {
    match &check.kind {
        DnsCheckKind::Calculated { children, .. } => children,
        DnsCheckKind::Endpoint(_) => &[],
    }
}
