use std::fmt::Write;

use perigee_dataplane::{EdgeView, NameExplanation};
use perigee_geo::Origin;
use perigee_health::HealthState;
use perigee_steering::PolicyExplanation;

use crate::steer::Client;

/// TTL of an explanation: none may be kept, for it speaks of one client and one moment (Perigee's choice).
pub(crate) const TTL_S: u32 = 0;
/// Octets of one character string (RFC 1035 section 3.3).
const MAX_STRING: usize = 255;
/// Octets of an explanation, so that it fits a datagram with EDNS and a long name.
const MAX_TOTAL: usize = 800;
/// Regions and branches listed behind the chosen one, so that an explanation fits a datagram (Perigee's choice).
const MAX_OTHERS: usize = 4;

/// Says `why` a name is answered as it is to the person who asks: one `key=value` a line.
///
/// Order: what was chosen and why, who it was chosen for, what was nearer and passed over, what comes next, how long
/// and how far it may be kept. Each string has at most 255 octets.
pub(crate) fn explain(view: &EdgeView, why: &NameExplanation, client: &Client) -> Vec<String> {
    let chosen = why.considered.iter().position(|(region, ..)| Some(region) == why.region.as_ref());
    let (nearer, others) = match chosen {
        Some(position) => (&why.considered[..position], &why.considered[position + 1..]),
        None => (&[][..], &why.considered[..]),
    };
    let summary =
        |(region, ms, state): &(String, f32, HealthState)| format!("{region} {} {}", round_trip(*ms), health(*state));

    let mut lines = vec![
        format!("region={}", why.region.as_deref().unwrap_or("none")),
        format!("reason={}", why.reason),
        format!("client={} ({})", client.address, if client.from_subnet { "client subnet" } else { "resolver" }),
        place(view, why, client),
    ];
    if let Some((_, rtt_ms, state)) = chosen.and_then(|position| why.considered.get(position)) {
        lines.push(format!("round-trip={}", round_trip(*rtt_ms)));
        lines.push(format!("health={}", health(*state)));
    }
    lines.extend(nearer.iter().map(|r| format!("passed-over={}", summary(r))));
    lines.extend(others.iter().take(MAX_OTHERS).map(|r| format!("next={}", summary(r))));
    if others.len() > MAX_OTHERS {
        lines.push(format!("next={} more", others.len() - MAX_OTHERS));
    }
    let state = if why.degraded { " (shortened: a region is down)" } else { "" };
    lines.push(format!("ttl={} s{state}", why.ttl_s));
    lines.push(format!("scope=/{}", client.scope));
    for line in &mut lines {
        line.truncate(line.floor_char_boundary(MAX_STRING));
    }
    lines
}

/// The same of a name with a tree of policies: what is answered and why, to whom, each choice on the way with its
/// branches, how long and how far it may be kept.
pub(crate) fn explain_policy(why: &PolicyExplanation) -> Vec<String> {
    let mut lines = vec![format!("name={} {}", why.name, why.record_type)];
    lines.extend(why.answers.iter().map(|answer| format!("answer={answer}")));
    lines.push(format!("reason={}", why.reason));
    lines.push(match &why.client_subnet {
        Some(network) => format!("client={network} (client subnet)"),
        None => format!("client={} (resolver)", why.resolver),
    });
    lines.push(format!("place={}", why.place));
    let state = if why.degraded { " (something of the name is down)" } else { "" };
    let tail = [format!("ttl={} s{state}", why.ttl_s), format!("scope=/{}", why.scope)];
    for step in &why.path {
        lines.push(format!("policy={}, counted: {}", step.policy, step.counted));
        let shown = step.branches.iter().enumerate().filter(|(at, branch)| *at < MAX_OTHERS || branch.picked);
        let mut count = 0;
        for (_, branch) in shown {
            count += 1;
            let known = format!("{} {} {}", branch.set_identifier, branch.key, branch.health);
            lines.push(if branch.picked {
                format!("picked={known}")
            } else {
                format!("branch={known}: {}", branch.note)
            });
        }
        if step.branches.len() > count {
            lines.push(format!("branch={} more", step.branches.len() - count));
        }
    }
    // The choices nearest to the root stay, and always what the answer may be used for.
    let mut room = MAX_TOTAL.saturating_sub(tail.iter().map(|line| line.len() + 1).sum());
    lines.retain(|line| {
        let len = line.len().min(MAX_STRING) + 1;
        let fits = len <= room;
        room = if fits { room - len } else { 0 };
        fits
    });
    lines.extend(tail);
    for line in &mut lines {
        line.truncate(line.floor_char_boundary(MAX_STRING));
    }
    lines
}

fn place(view: &EdgeView, why: &NameExplanation, client: &Client) -> String {
    let mut line = format!("place={}", why.place);
    // Writing to a string cannot fail.
    let _ = match view.atlas.locate(client.address).origin {
        Origin::Overlay => write!(line, " (overlay)"),
        Origin::Database => write!(line, " (database)"),
        Origin::Unknown => Ok(()),
    };
    line
}

fn round_trip(ms: f32) -> String {
    if ms.is_finite() { format!("{ms:.1} ms") } else { "unknown".into() }
}

const fn health(state: HealthState) -> &'static str {
    match state {
        HealthState::Initial => "initial",
        HealthState::Healthy => "healthy",
        HealthState::Unhealthy => "unhealthy",
    }
}
