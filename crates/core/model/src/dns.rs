//! The nouns of DNS: zones, names with a routing policy, health checks of the DNS kind, and the server's manners.

mod health_check;
mod policy;
mod server;
mod zone;

pub use health_check::{DnsCheckKind, DnsHealthCheck, EndpointCheck, EndpointProtocol};
pub use policy::{
    BranchKey, GeoLocation, Policy, PolicyBranch, PolicyGroup, PolicyName, PolicyNode, PolicyRecord, RecordTarget,
    RecordValues, WeightedDraw,
};
pub use server::{DnsServer, RateLimit};
pub use zone::{HostedZone, SigningAlgorithm, ZoneFile, ZoneSigning};
