use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolverOpts};
use tracing::warn;

/// Learns the addresses of names, afresh each time.
///
/// Source: `spec/dns.md` section 2.5 ("FQDN resolved each interval, IPv4 only"). Clones share the resolver.
#[derive(Clone)]
pub struct Names {
    /// None where the system has no usable configuration: every name is then without an address.
    resolver: Option<Arc<TokioResolver>>,
}

impl Names {
    /// Asks as the system is configured to: its resolvers and its table of hosts, as they are at this moment. A
    /// configuration that cannot be read is logged; no name has an address then.
    pub fn of_the_system() -> Self {
        let resolver = TokioResolver::builder_tokio().and_then(|mut builder| {
            set_manners(builder.options_mut());
            builder.build()
        });
        match resolver {
            Ok(resolver) => Self { resolver: Some(Arc::new(resolver)) },
            Err(error) => {
                warn!(%error, "the system's DNS configuration is not usable: health checks by name will fail");
                Self { resolver: None }
            }
        }
    }

    /// Asks the server at `address` over UDP.
    #[cfg(test)]
    pub(crate) fn from_server(address: std::net::SocketAddr) -> Self {
        use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
        use hickory_resolver::net::runtime::TokioRuntimeProvider;
        let mut connection = ConnectionConfig::udp();
        connection.port = address.port();
        let server = NameServerConfig::new(address.ip(), true, vec![connection]);
        let config = ResolverConfig::from_parts(None, vec![], vec![server]);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        set_manners(builder.options_mut());
        Self { resolver: Some(Arc::new(builder.build().expect("the configuration is complete"))) }
    }

    /// The first IPv4 address of `name`, which is taken as fully qualified. None without one, and where nobody answers.
    ///
    /// Takes at most a few seconds; the caller sets the limit.
    pub async fn ipv4(&self, name: &str) -> Option<Ipv4Addr> {
        let name = format!("{}.", name.trim_end_matches('.'));
        let found = self.resolver.as_ref()?.lookup_ip(name).await.ok()?;
        found.iter().find_map(|address| match address {
            std::net::IpAddr::V4(address) => Some(address),
            std::net::IpAddr::V6(_) => None,
        })
    }
}

/// IPv4 alone, nothing kept, and an answer soon or never.
fn set_manners(options: &mut ResolverOpts) {
    options.ip_strategy = LookupIpStrategy::Ipv4Only;
    options.cache_size = 0;
    options.timeout = Duration::from_secs(2);
    options.attempts = 1;
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Names").field("usable", &self.resolver.is_some()).finish()
    }
}
