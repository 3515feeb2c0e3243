use std::time::Duration;

use perigee_model::{AccountId, Behaviour, ClientIp, EdgeTiming, Limits, Settings};

use crate::reader::Table;
use crate::runtime::parse_network;

/// Reads the settings that are not resources. The ranges of times and limits are Perigee's choice: the lower bound
/// keeps the thing working at all, the upper one keeps a slip of the key from costing all memory.
pub(crate) fn read(root: &Table<'_>) -> Settings {
    let account = AccountId::default();
    let account_id = root.or("account_id", account, account.to_string(), |n| {
        n.parse(|text| text.parse().map_err(|_| "must be 12 digits, such as \"123456789012\"".to_owned()))
    });
    let behaviour = root.or("behaviour", Behaviour::default(), "fast", |n| {
        n.choice(&[("fast", Behaviour::Fast), ("aws", Behaviour::Aws)], &[])
    });
    let client_ip = root.or("client_ip", ClientIp::default(), "auto", |n| {
        n.choice(&[("auto", ClientIp::Auto), ("bind", ClientIp::Bind), ("proxy_v2", ClientIp::ProxyV2)], &[])
    });
    let trusted_proxies = root.list("trusted_proxies").iter().filter_map(|n| n.parse(parse_network)).collect();
    let (timing, limits) = (timing(root, behaviour), limits(root));
    Settings { account_id, behaviour, client_ip, trusted_proxies, timing, limits }
}

fn timing(root: &Table<'_>, behaviour: Behaviour) -> EdgeTiming {
    let default = EdgeTiming::of(behaviour);
    let t = root.table("timing");
    let seconds = |default: Duration| u32::try_from(default.as_secs()).unwrap_or(u32::MAX);
    let timing = EdgeTiming {
        lb_health_poll: t.millis_or("lb_health_poll_ms", 100..=60_000, default.lb_health_poll),
        lb_health_timeout: t.millis_or("lb_health_timeout_ms", 50..=30_000, default.lb_health_timeout),
        lb_health_misses: t.int_or("lb_health_misses", 1..=10, default.lb_health_misses),
        connect_stagger: t.millis_or("connect_stagger_ms", 10..=5_000, default.connect_stagger),
        connect_timeout: t.millis_or("connect_timeout_ms", 100..=60_000, default.connect_timeout),
        recovery_hold: t.millis_or("recovery_hold_ms", 0..=30_000, default.recovery_hold),
        tcp_idle_timeout: t.seconds_or("tcp_idle_timeout_seconds", 10..=86_400, seconds(default.tcp_idle_timeout)),
        udp_idle_timeout: t.seconds_or("udp_idle_timeout_seconds", 1..=86_400, seconds(default.udp_idle_timeout)),
    };
    t.finish();
    timing
}

fn limits(root: &Table<'_>) -> Limits {
    let default = Limits::default();
    let t = root.table("limits");
    let before = t.cx.count();
    let limits = Limits {
        edge_flows: t.int_or("edge_flows", 1..=1_000_000, default.edge_flows),
        edge_udp_flows: t.int_or("edge_udp_flows", 1..=1_000_000, default.edge_udp_flows),
        node_connections: t.int_or("node_connections", 1..=1_000_000, default.node_connections),
        request_head_bytes: t.int_or("request_head_bytes", 1_024..=1_048_576, default.request_head_bytes),
        request_line_bytes: t.int_or("request_line_bytes", 512..=1_048_576, default.request_line_bytes),
        request_header_bytes: t.int_or("request_header_bytes", 512..=1_048_576, default.request_header_bytes),
        idle_target_connections: t.int_or("idle_target_connections", 0..=65_536, default.idle_target_connections),
        dns_tcp_connections: t.int_or("dns_tcp_connections", 1..=100_000, default.dns_tcp_connections),
        admin_connections: t.int_or("admin_connections", 1..=100_000, default.admin_connections),
        drain_s: t.int_or("drain_seconds", 0..=3_600, default.drain_s),
    };
    if t.cx.count() == before {
        let head = limits.request_head_bytes;
        for (key, part) in
            [("request_line_bytes", limits.request_line_bytes), ("request_header_bytes", limits.request_header_bytes)]
        {
            if part > head {
                let message = format!("{part} is more than request_head_bytes, {head}");
                match t.get(key) {
                    Some(node) => node.problem(message),
                    None => t.problem_at(key, message),
                }
            }
        }
    }
    t.finish();
    limits
}
