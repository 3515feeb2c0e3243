use std::fmt;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use perigee_model::{AcceleratorName, Instant, RegionCode};

pub use crate::tcp::Side;

/// Follows flows: what flow logs and metrics per flow are made from.
///
/// The calls come from the workers' own threads, between two flows' bytes, so an observer must be quick and never wait.
pub trait FlowObserver: Send + Sync + fmt::Debug {
    /// How often [`Self::progressed`] is called; 60 s (Global Accelerator developer guide, "Flow logs").
    fn window(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// A flow was joined to its endpoint.
    fn joined(&self, flow: &FlowFacts<'_>);

    /// Payload moved within the window that is over now.
    fn progressed(&self, flow: &FlowFacts<'_>);

    /// A joined flow is over; its sockets are still open.
    fn ended(&self, flow: &FlowFacts<'_>, end: FlowEnd);

    /// A client was reset before it was joined, for a reason as `perigee_edge_refused_flows` names it.
    fn refused(&self, client: SocketAddr, destination: SocketAddr, reason: &'static str);
}

/// What an edge knows of a joined flow.
#[derive(Clone, Copy, Debug)]
pub struct FlowFacts<'a> {
    /// The client.
    pub client: SocketAddr,
    /// The accelerator's address and port.
    pub destination: SocketAddr,
    /// The endpoint's address and port.
    pub endpoint: SocketAddr,
    /// By what it goes there.
    pub route: &'a Route,
    /// When the client was accepted.
    pub opened: Instant,
    /// When payload last moved; when it was joined if none has.
    pub last: Instant,
    /// Payload bytes from the client.
    pub bytes_in: u64,
    /// Payload bytes from the endpoint.
    pub bytes_out: u64,
    /// The client's connection, to ask the kernel about.
    pub client_socket: BorrowedFd<'a>,
    /// The endpoint's connection.
    pub endpoint_socket: BorrowedFd<'a>,
}

/// What a flow passes through. It holds names, for a flow outlives the configuration it was opened under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The accelerator.
    pub accelerator: AcceleratorName,
    /// Position of its listener.
    pub listener: usize,
    /// Position of the listener's endpoint group.
    pub group: usize,
    /// The group's region.
    pub region: RegionCode,
    /// The endpoint: its load balancer's name, or its id.
    pub endpoint: String,
    /// The point of presence's code.
    pub pop: String,
}

/// How a joined flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowEnd {
    /// Both sides finished.
    Closed,
    /// Nothing moved for the idle time-out.
    Idle,
    /// This side reset or broke; the other was reset.
    Reset(Side),
    /// The edge reset both: its zone or point of presence died, or its listener is gone.
    ResetByEdge,
}
