use std::fmt::Write;

use perigee_dataplane::EdgeView;
use perigee_geo::Origin;
use perigee_health::HealthState;
use perigee_model::RegionIndex;
use perigee_steering::{Answer, ConsideredRegion};

use crate::steer::Client;

/// TTL of an explanation: none may be kept, for it speaks of one client and one moment (Perigee's choice).
pub(crate) const TTL_S: u32 = 0;
/// Octets of one character string (RFC 1035 section 3.3).
const MAX_STRING: usize = 255;
/// Regions listed behind the chosen one, so that an explanation fits a datagram (Perigee's choice).
const MAX_OTHERS: usize = 4;

/// Explains `answer` to the person who asks: one `key=value` a line.
///
/// Order: what was chosen and why, who it was chosen for, what was nearer and passed over, what comes next, how long
/// and how far it may be kept. Each string has at most 255 octets.
pub(crate) fn explain(view: &EdgeView, answer: &Answer, client: &Client) -> Vec<String> {
    let code = |region: RegionIndex| view.snapshot.region(region).code.as_str();
    let chosen = answer.considered.iter().position(|r| Some(r.region) == answer.region);
    let (nearer, others) = match chosen {
        Some(position) => (&answer.considered[..position], &answer.considered[position + 1..]),
        None => (&[][..], &answer.considered[..]),
    };
    let summary = |r: &ConsideredRegion| format!("{} {} {}", code(r.region), round_trip(r.rtt_ms), health(r.health));

    let mut lines = vec![
        format!("region={}", answer.region.map_or("none", code)),
        format!("reason={}", answer.reason),
        format!("client={} ({})", client.address, if client.from_subnet { "client subnet" } else { "resolver" }),
        place(view, client),
    ];
    if let Some(region) = chosen.and_then(|position| answer.considered.get(position)) {
        lines.push(format!("round-trip={}", round_trip(region.rtt_ms)));
        lines.push(format!("health={}", health(region.health)));
    }
    lines.extend(nearer.iter().map(|r| format!("passed-over={}", summary(r))));
    lines.extend(others.iter().take(MAX_OTHERS).map(|r| format!("next={}", summary(r))));
    if others.len() > MAX_OTHERS {
        lines.push(format!("next={} more", others.len() - MAX_OTHERS));
    }
    let state = if answer.degraded { " (shortened: a region is down)" } else { "" };
    lines.push(format!("ttl={} s{state}", answer.ttl.as_secs()));
    lines.push(format!("scope=/{}", client.scope));
    for line in &mut lines {
        line.truncate(line.floor_char_boundary(MAX_STRING));
    }
    lines
}

fn place(view: &EdgeView, client: &Client) -> String {
    let located = view.atlas.locate(client.address);
    let mut line = format!("place={}", located.place);
    // Writing to a string cannot fail.
    let _ = match located.origin {
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
