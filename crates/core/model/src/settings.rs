use std::time::Duration;

use ipnet::IpNet;
use serde::Serialize;

use crate::AccountId;

/// Whether the original's errors and delays are kept or the possible is done instead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Behaviour {
    /// A refused, reset or slow connect moves on to the next endpoint; passive evidence counts at once.
    #[default]
    Fast,
    /// What the original does, errors included.
    Aws,
}

/// How an edge tells the load balancer who the client is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientIp {
    /// `bind` when client and endpoint are both loopback addresses, `proxy_v2` otherwise.
    #[default]
    Auto,
    /// The edge's second connection starts from the client's own address; works on loopback without privileges.
    Bind,
    /// A PROXY protocol version 2 header opens the second connection.
    ProxyV2,
}

/// Settings that are not resources.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// Whose resources these are.
    pub account_id: AccountId,
    /// Which of the two behaviours.
    pub behaviour: Behaviour,
    /// How the client's address travels to the load balancer.
    pub client_ip: ClientIp,
    /// Networks whose connections to a load balancer must open with a PROXY protocol v2 header; no other may.
    pub trusted_proxies: Vec<IpNet>,
    /// The edge's times.
    pub timing: EdgeTiming,
    /// Bounds on everything that can grow.
    pub limits: Limits,
}

/// The edge's times; the defaults depend on the behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct EdgeTiming {
    /// Between two samples of a load balancer node's health: 10 s in `aws`, 500 ms in `fast` (Perigee's choice;
    /// AWS does not publish the delay from ELB to the accelerator).
    pub lb_health_poll: Duration,
    /// A sample without an answer by then has failed. 2 s in `aws`, 1 s in `fast`.
    pub lb_health_timeout: Duration,
    /// Samples in a row without an answer that make a node unreachable: 3 in `aws`, 2 in `fast`. An answer that says
    /// "unhealthy" counts at once in both.
    pub lb_health_misses: u8,
    /// `fast` only: a connect not done by then is joined by an attempt to the next candidate. 200 ms
    /// (RFC 8305 section 5 recommends 250 ms; a region's blackhole must cost well below a second).
    pub connect_stagger: Duration,
    /// An attempt without SYN-ACK by then has failed. 10 s (Perigee's choice).
    pub connect_timeout: Duration,
    /// `fast` only: a node that comes back takes new flows after this long of good samples; doubled for each relapse
    /// within a minute, never above 30 s. 1 s.
    pub recovery_hold: Duration,
    /// An established flow without payload either way for this long is closed. 340 s.
    pub tcp_idle_timeout: Duration,
    /// A UDP flow without a datagram either way for this long is forgotten. 30 s.
    pub udp_idle_timeout: Duration,
}

impl EdgeTiming {
    /// The defaults of a behaviour.
    pub const fn of(behaviour: Behaviour) -> Self {
        let aws = matches!(behaviour, Behaviour::Aws);
        Self {
            lb_health_poll: Duration::from_millis(if aws { 10_000 } else { 500 }),
            lb_health_timeout: Duration::from_millis(if aws { 2_000 } else { 1_000 }),
            lb_health_misses: if aws { 3 } else { 2 },
            connect_stagger: Duration::from_millis(200),
            connect_timeout: Duration::from_secs(10),
            recovery_hold: Duration::from_secs(1),
            tcp_idle_timeout: Duration::from_secs(340),
            udp_idle_timeout: Duration::from_secs(30),
        }
    }
}

/// Bounds on everything that can grow. Each has a counter in `/metrics` that rises when it is hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// TCP flows an edge holds at once; more are refused. Default 20,000.
    pub edge_flows: u32,
    /// UDP flows an edge holds at once, each worker its share; beyond them the one silent for longest is forgotten.
    /// Default 20,000.
    pub edge_udp_flows: u32,
    /// Connections a load balancer node holds at once; more are refused. Default 20,000.
    pub node_connections: u32,
    /// Bytes of a whole request head. Default 65,536 (ALB guide, "Quotas").
    pub request_head_bytes: u32,
    /// Bytes of a request line. Default 16,384.
    pub request_line_bytes: u32,
    /// Bytes of one header field. Default 16,384.
    pub request_header_bytes: u32,
    /// Idle keep-alive connections a node keeps to one target. Default 128.
    pub idle_target_connections: u32,
    /// TCP connections the DNS server holds at once. Default 1,000.
    pub dns_tcp_connections: u32,
    /// Connections to the admin and status ports at once. Default 256.
    pub admin_connections: u32,
    /// Seconds a stack that was told to stop waits for requests and flows. Default 30.
    pub drain_s: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            edge_flows: 20_000,
            edge_udp_flows: 20_000,
            node_connections: 20_000,
            request_head_bytes: 65_536,
            request_line_bytes: 16_384,
            request_header_bytes: 16_384,
            idle_target_connections: 128,
            dns_tcp_connections: 1_000,
            admin_connections: 256,
            drain_s: 30,
        }
    }
}
