use perigee_model::dns::{DnsServer, RateLimit};

use crate::reader::Table;
use crate::runtime::parse_network;

/// Secrets of cookies, at most: the newest, and a few that are being rolled out (RFC 9018 section 5).
const MAX_SECRETS: usize = 4;

/// Networks without a rate limit, at most (Perigee's choice: each answer looks through them).
const MAX_EXEMPT: usize = 256;

/// Reads how the server treats its clients. The ranges are Perigee's choice.
pub(super) fn read(dns: &Table<'_>) -> DnsServer {
    let default = DnsServer::default();
    let t = dns.table("server");
    let identity = t.get("identity").and_then(|n| n.parse(identity));
    let chaos = t.bool_or("chaos", default.chaos);
    let cookies = t.bool_or("cookies", default.cookies);
    let secrets = t.get("cookie_secrets").and_then(|n| n.list_of(0..=MAX_SECRETS, "secrets")).unwrap_or_default();
    let cookie_secrets = secrets
        .iter()
        .filter_map(|n| {
            let secret = hexadecimal(n.secret()?);
            if secret.is_none() {
                n.problem("must be 32 hexadecimal digits");
            }
            secret
        })
        .collect();
    // A client that knows no EDNS gets 512 octets anyway (RFC 1035 section 4.2.1).
    let uncookied_octets = t.get("uncookied_octets").and_then(|n| n.int(512..=4_096));
    let synthesized_error = t.bool_or("synthesized_error", default.synthesized_error);
    let rate_limit = rate_limit(&t);
    t.finish();
    DnsServer { identity, chaos, cookies, cookie_secrets, uncookied_octets, synthesized_error, rate_limit }
}

fn identity(text: &str) -> Result<String, String> {
    if (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 128 printable ASCII characters".to_owned())
    }
}

fn hexadecimal(text: &str) -> Option<[u8; 16]> {
    if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)
}

fn rate_limit(server: &Table<'_>) -> RateLimit {
    let default = RateLimit::default();
    let t = server.table("rate_limit");
    let per_second = 1..=1_000_000_u32;
    let exempt = match t.get("exempt") {
        Some(node) => {
            let list = node.list_of(0..=MAX_EXEMPT, "networks").unwrap_or_default();
            list.iter().filter_map(|n| n.parse(parse_network)).collect()
        }
        None => {
            let shown: Vec<String> = default.exempt.iter().map(ToString::to_string).collect();
            t.record_default("exempt", shown.into());
            default.exempt
        }
    };
    let made = RateLimit {
        enabled: t.bool_or("enabled", default.enabled),
        answers_per_second: t.int_or("answers_per_second", per_second.clone(), default.answers_per_second),
        nxdomains_per_second: t.int_or("nxdomains_per_second", per_second.clone(), default.nxdomains_per_second),
        errors_per_second: t.int_or("errors_per_second", per_second, default.errors_per_second),
        window_s: t.int_or("window_seconds", 1..=3_600, default.window_s),
        slip: t.int_or("slip", 0..=10, default.slip),
        exempt,
    };
    t.finish();
    made
}
