//! The accelerator's L4 entry: accepts on the static addresses, brings each flow to the endpoint that the front tier's
//! machine names, and joins the two connections, on a thread per core.
//!
//! It moves bytes and time; every choice is `perigee_dataplane::Edge`'s. It never reads payload. Start with [`Front`],
//! the driver of that machine (a DNS server drives it too), and [`Proxy`].

mod checks;
mod count;
mod endpoints;
mod events;
mod front;
mod hosts;
mod meter;
mod metrics;
mod probing;
mod proxy;
mod shares;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;

pub use checks::CheckMetrics;
pub use endpoints::EndpointMetrics;
pub use events::HealthEvent;
pub use front::Front;
pub use hosts::PopHosts;
pub use meter::{FlowEnd, FlowMeter, FlowStart, MeteredFlow, Side, tcp_totals};
pub use metrics::Metrics;
pub use proxy::{Proxy, ProxyStatus};
pub use udp::{UdpMetrics, UdpProxy, UdpStatus};
