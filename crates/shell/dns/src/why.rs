use std::fmt::Write;

use perigee_dataplane::{EdgeView, NameExplanation};
use perigee_geo::Origin;
use perigee_health::HealthState;

use crate::steer::Client;

/// TTL of an explanation: none may be kept, for it speaks of one client and one moment (Perigee's choice).
pub(crate) const TTL_S: u32 = 0;
/// Octets of one character string (RFC 1035 section 3.3).
const MAX_STRING: usize = 255;
/// Regions listed behind the chosen one, so that an explanation fits a datagram (Perigee's choice).
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
