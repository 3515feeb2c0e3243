//! The accelerator's L4 entry: accepts on the static addresses, brings each flow to the endpoint that the front tier's
//! machine names, and joins the two connections.
//!
//! It moves bytes and time; every choice is `perigee_dataplane::Edge`'s. It never reads payload. Start with [`Front`],
//! the driver of that machine (a DNS server drives it too), and [`Proxy`].

mod checks;
mod endpoints;
mod events;
mod flow;
mod front;
mod metrics;
mod probing;
mod proxy;
mod relay;
mod shares;
#[cfg(test)]
mod tests;

pub use checks::CheckMetrics;
pub use endpoints::EndpointMetrics;
pub use events::HealthEvent;
pub use front::Front;
pub use metrics::Metrics;
pub use proxy::{PopHosts, Proxy, ProxyStatus};
