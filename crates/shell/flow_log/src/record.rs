use std::net::SocketAddr;
use std::sync::Arc;

use perigee_model::{AcceleratorId, AccountId, PopCode, RegionCode};

/// What all records of a flow have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowIdentity {
    /// Whose accelerator it is.
    pub account: AccountId,
    /// The accelerator.
    pub accelerator: AcceleratorId,
    /// The client's address and port.
    pub client: SocketAddr,
    /// The accelerator's address and port that the client asked for; of the client's address family.
    pub destination: SocketAddr,
    /// Where the flow went, after port overrides.
    pub endpoint: SocketAddr,
    /// The protocol's number in the IP header: 6 for TCP, 17 for UDP. The guide's own sample lines print `TCP`.
    pub protocol: u8,
    /// Whose address the endpoint sees; it makes the record's version.
    pub source: EdgeSource,
    /// The endpoint's region.
    pub endpoint_region: RegionCode,
    /// The edge that took the flow.
    pub edge: PopCode,
}

/// Whose address an endpoint sees as its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EdgeSource {
    /// The edge's own, if it is known: version 1.0.
    Edge(Option<SocketAddr>),
    /// The client's, which client-IP preservation kept: version 2.0, which names the endpoint's network. Perigee has no
    /// VPCs; what it writes has none.
    Client {
        /// Identifier of the VPC: letters, digits and `-`, at most 64.
        vpc_id: Option<Arc<str>>,
    },
}

/// Which way the bytes of a record went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Towards the endpoint.
    Ingress,
    /// Towards the client.
    Egress,
}

/// Whether everything of the time before a record is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStatus {
    /// Nothing is missing.
    Ok,
    /// Records of this accelerator that should stand before this one could not be kept.
    SkipData,
}

/// One direction of one flow in one capture window: a line of a flow log.
///
/// Its text form has the 24 fields of the guide; see [`FlowRecord::from_line`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowRecord {
    /// Whose bytes they were.
    pub flow: Arc<FlowIdentity>,
    /// Packets seen in the window; 0 is a flow that is alive and was quiet in this direction.
    pub packets: u64,
    /// Their bytes, headers included.
    pub bytes: u64,
    /// When the window began, seconds since 1970.
    pub start_s: u64,
    /// When it ended, seconds since 1970; not before it began.
    pub end_s: u64,
    /// Whether anything is missing before it.
    pub status: LogStatus,
    /// Which way.
    pub direction: Direction,
}

impl FlowIdentity {
    /// `1.0`, or `2.0` where the client's address was preserved.
    pub const fn version(&self) -> &'static str {
        match self.source {
            EdgeSource::Edge(_) => "1.0",
            EdgeSource::Client { .. } => "2.0",
        }
    }

    /// `IPV4` or `IPV6`.
    pub const fn ip_address_type(&self) -> &'static str {
        if self.destination.is_ipv4() { "IPV4" } else { "IPV6" }
    }

    /// The edge's own end of the second connection, where the endpoint sees it.
    pub const fn edge_end(&self) -> Option<SocketAddr> {
        match self.source {
            EdgeSource::Edge(end) => end,
            EdgeSource::Client { .. } => None,
        }
    }

    /// The endpoint's VPC, where it is known.
    pub fn vpc_id(&self) -> Option<&str> {
        match &self.source {
            EdgeSource::Edge(_) => None,
            EdgeSource::Client { vpc_id } => vpc_id.as_deref(),
        }
    }
}

impl Direction {
    /// As records have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingress => "INGRESS",
            Self::Egress => "EGRESS",
        }
    }
}

impl LogStatus {
    /// As records have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::SkipData => "SKIPDATA",
        }
    }
}

/// What every record says of its action: nothing is ever rejected (guide, "Flow log record syntax").
pub(crate) const ACTION: &str = "ACCEPT";
