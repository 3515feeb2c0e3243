//! The DNS server of a process: its sockets, its certificate, its log, and the probes of its health checks.

#[cfg(test)]
mod example;

use std::sync::Arc;

use perigee_config::{Config, DnsCertificate, DnsRuntime};
use perigee_dns::{CertificateSource, Metrics, QueryLog, Server, TlsConfig};
use perigee_edge::{CheckMetrics, Front};
use perigee_model::{Limits, Snapshot};
use perigee_net::{DnsProber, Host, Names, Shutdown};
use prometheus_client::registry::Registry;

/// What keeps the zones of a configuration from being served, in words: what a record is and whether a key can be used
/// only the DNS server knows.
pub(crate) fn zone_problems(snapshot: &Snapshot) -> Vec<String> {
    let records = perigee_dns::check_zones(snapshot).into_iter().map(|problem| problem.to_string());
    let keys = snapshot.dns.zones.iter().filter_map(|zone| perigee_dns::keys::check(zone).err());
    records.chain(keys.map(|problem| problem.to_string())).collect()
}

/// Starts the server, and the probes that its answers depend on.
///
/// Errors: in words for people.
pub(super) async fn start(
    config: &Config,
    machine: &Arc<Front>,
    registry: &mut Registry,
    entry: &Shutdown,
    process: &Shutdown,
) -> Result<Server, String> {
    let settings = server(&config.runtime.dns, config.snapshot.settings.limits);
    let on: Vec<String> = settings.listen.iter().map(ToString::to_string).collect();
    let metrics = Metrics::new(registry);
    let started = Server::start(settings, machine.shared_view(), metrics, entry).await;
    let started = started.map_err(|e| format!("DNS cannot listen on {}: {e}", on.join(", ")))?;
    // Only answers depend on health checks, so an edge without DNS does not probe.
    let prober = DnsProber::new(Host::new("prober"), Names::of_the_system());
    tokio::spawn(machine.clone().run_checks(prober, CheckMetrics::register(registry), process.clone()));
    Ok(started)
}

fn server(dns: &DnsRuntime, limits: Limits) -> perigee_dns::Config {
    let certificate = dns.certificate.as_ref().map(|certificate| match certificate {
        DnsCertificate::Files { certificate, key } => {
            CertificateSource::Files { certificate: certificate.clone(), key: key.clone() }
        }
        DnsCertificate::Authority(directory) => {
            // It is for the addresses that it is shown at, beside the loopback ones.
            let at = [dns.dot_listen, dns.doh_listen, dns.doq_listen].into_iter().flatten();
            let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(String::from).to_vec();
            names.extend(at.map(|address| address.ip()).filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string()));
            names.sort();
            names.dedup();
            CertificateSource::LocalAuthority { directory: Some(directory.clone()), names }
        }
    });
    let tls = certificate.map(|certificate| TlsConfig {
        dot: dns.dot_listen.into_iter().collect(),
        doh: dns.doh_listen.into_iter().collect(),
        doq: dns.doq_listen.into_iter().collect(),
        certificate,
    });
    let query_log = dns.query_log.as_ref().map(|log| QueryLog { path: log.file.clone(), sample: log.sample });
    perigee_dns::Config {
        listen: dns.listen.clone(),
        tls,
        query_log,
        host: Host::new("dns"),
        limits,
        workers: dns.workers.into(),
    }
}
