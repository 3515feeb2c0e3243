//! The composition root: one process's part of the stack, from one machine's whole world down to a single role.

mod control;
mod dns;
mod explain;
mod explain_name;
mod regional;
mod status;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use perigee_admin::Admin;
use perigee_config::{Config, Sources};
use perigee_edge::{Front, PopHosts, Proxy};
use perigee_model::{RegionCode, Snapshot};
use perigee_net::{Clock, Crossings, DnsProber, Fault, Host, Names, Shutdown};
use prometheus_client::registry::Registry;
use tracing::{info, warn};

use crate::geography::Geography;
use crate::hosts::Hosts;
pub(crate) use dns::zone_problems;
pub(crate) use explain::{Explained, offline};
pub(crate) use explain_name::{ExplainedName, offline_name};
use regional::Regional;
pub(crate) use status::Status;

/// How long the front tier may take to join flows it has accepted before the regions begin to drain.
const JOIN_LIMIT: Duration = Duration::from_secs(2);

/// Which parts a process runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts {
    pub(crate) dns: bool,
    pub(crate) edge: bool,
    pub(crate) nodes: Option<NodeFilter>,
    pub(crate) targets: Option<TargetFilter>,
}

/// Which load balancer nodes; everything that is not restricted.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeFilter {
    pub(crate) region: Option<String>,
    pub(crate) zone: Option<String>,
}

/// Which targets.
#[derive(Clone, Debug, Default)]
pub(crate) struct TargetFilter {
    pub(crate) region: Option<String>,
    /// Address or address:port.
    pub(crate) target: Option<String>,
    /// Whether an address that cannot be bound is somebody else's server rather than an error.
    pub(crate) lenient: bool,
}

impl Parts {
    /// Everything, in one process.
    pub(crate) fn all() -> Self {
        let targets = TargetFilter { lenient: true, ..TargetFilter::default() };
        Self { dns: true, edge: true, nodes: Some(NodeFilter::default()), targets: Some(targets) }
    }

    const fn front(&self) -> bool {
        self.dns || self.edge
    }
}

/// A running process of the stack.
pub(crate) struct Stack {
    pub(crate) clock: Clock,
    pub(crate) parts: Parts,
    pub(crate) hosts: Hosts,
    pub(crate) pops: Arc<PopHosts>,
    pub(crate) front: Option<Arc<Front>>,
    pub(crate) proxy: Option<Arc<Proxy>>,
    pub(crate) dns: Option<perigee_dns::Server>,
    pub(crate) regional: Regional,
    geography: Geography,
    sources: Sources,
    current: Mutex<Arc<Config>>,
    reloading: tokio::sync::Mutex<()>,
    /// Ends the front tier.
    entry: Shutdown,
    /// Ends the rest: sampling and the admin API.
    process: Shutdown,
}

impl Stack {
    /// Starts the parts of `config` and the admin API; everything listens when it returns.
    ///
    /// Errors: in words for people; what had started has ended again.
    pub(crate) async fn start(sources: Sources, config: Config, parts: Parts) -> Result<(Arc<Self>, Admin), String> {
        let clock = Clock::new();
        let geography = Geography::load(&config)?;
        let atlas = geography.atlas(&config)?;
        if parts.dns {
            let listed = |problems: Vec<String>| crate::commands::listed("the zones have", &problems);
            zones_served(&config).await.map_err(listed)?;
        }
        let snapshot = Arc::new(config.snapshot.clone());
        let mut registry = Registry::default();
        let (entry, process) = (Shutdown::new(), Shutdown::new());
        let pops = Arc::new(PopHosts::default());
        let hosts = Hosts::default();
        let crossings = Crossings::default();

        let regional = Regional::start(&snapshot, &parts, &hosts, &mut registry, clock, crossings.clone()).await?;
        let (mut front, mut proxy, mut dns) = (None, None, None);
        if parts.front() {
            let pop = match &config.runtime.pop {
                Some(code) => Some(atlas.find_pop(code.as_str()).ok_or_else(|| format!("no edge is called {code}"))?),
                None => None,
            };
            let machine = Front::new(snapshot.clone(), atlas, pop, clock);
            tokio::spawn(machine.clone().run(Host::new("front"), process.clone()));
            if parts.edge {
                let metrics = perigee_edge::Metrics::register(&mut registry);
                let prober = DnsProber::new(Host::new("prober"), Names::of_the_system());
                let probes = perigee_edge::EndpointMetrics::register(&mut registry);
                tokio::spawn(machine.clone().run_endpoints(prober, probes, process.clone()));
                let started =
                    Proxy::start(machine.clone(), pops.clone(), crossings, metrics, clock, entry.clone()).await;
                proxy = Some(started.map_err(|e| e.to_string())?);
            }
            if parts.dns {
                dns = Some(dns::start(&config, &machine, &mut registry, &entry, &process).await?);
            }
            front = Some(machine);
        }
        let (admin_listen, connections) = (config.runtime.admin_listen, snapshot.settings.limits.admin_connections);
        let stack = Arc::new(Self {
            clock,
            parts,
            hosts,
            pops,
            front,
            proxy,
            dns,
            regional,
            geography,
            sources,
            current: Mutex::new(Arc::new(config)),
            reloading: tokio::sync::Mutex::default(),
            entry,
            process: process.clone(),
        });
        let control: Arc<dyn perigee_admin::Control> = stack.clone();
        let admin =
            Admin::start(admin_listen, connections, control, registry, process).await.map_err(|e| e.to_string())?;
        Ok((stack, admin))
    }

    /// The configuration in force.
    pub(crate) fn config(&self) -> Arc<Config> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The snapshot in force.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.front.as_ref().map_or_else(|| Arc::new(self.config().snapshot.clone()), |f| f.view().snapshot.clone())
    }

    /// Whose geographic data is shown, if that must be said.
    pub(crate) const fn attribution(&self) -> Option<&'static str> {
        self.geography.attribution
    }

    /// Reads the configuration again and applies it whole, or refuses it whole.
    ///
    /// Errors: one line per problem; the old configuration stays in force.
    pub(crate) async fn reload(&self) -> Result<u64, Vec<String>> {
        let _one_at_a_time = self.reloading.lock().await;
        let before = self.config();
        let sources = Sources { generation: before.snapshot.generation + 1, ..self.sources.clone() };
        let config =
            perigee_config::load(&sources).map_err(|p| p.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        if self.dns.is_some() {
            zones_served(&config).await?;
        }
        let (was, is) = (&before.runtime.dns, &config.runtime.dns);
        let fixed = [
            ("dns.listen", was.listen != is.listen),
            ("dns.workers", was.workers != is.workers),
            ("dns.dot_listen", was.dot_listen != is.dot_listen),
            ("dns.doh_listen", was.doh_listen != is.doh_listen),
            ("dns.doq_listen", was.doq_listen != is.doq_listen),
            ("dns.certificate", was.certificate != is.certificate),
            ("dns.query_log", was.query_log != is.query_log),
            ("admin.listen", before.runtime.admin_listen != config.runtime.admin_listen),
            ("geo.file", before.runtime.geo_file != config.runtime.geo_file),
            ("pop", before.runtime.pop != config.runtime.pop),
        ];
        let moved: Vec<String> = fixed
            .iter()
            .filter(|(_, changed)| *changed)
            .map(|(key, _)| config.problem(key, "cannot change while the process runs; restart it").to_string())
            .collect();
        if !moved.is_empty() {
            return Err(moved);
        }
        let atlas = self.geography.atlas(&config).map_err(|e| vec![e])?;
        let snapshot = Arc::new(config.snapshot.clone());
        if let Some(dns) = &self.dns {
            dns.prepare(&snapshot).await;
        }
        let mut problems = self.regional.set_snapshot(&snapshot, &self.parts, &self.hosts).await;
        if let Some(front) = &self.front {
            front.set_snapshot(snapshot.clone(), atlas);
        }
        if let Some(proxy) = &self.proxy
            && let Err(error) = proxy.set_snapshot(&snapshot).await
        {
            problems.push(error.to_string());
        }
        if let Some(dns) = &self.dns {
            dns.set_limits(&snapshot.settings.limits);
        }
        let generation = snapshot.generation;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        for problem in &problems {
            warn!(problem, "the new configuration is in force, except for this");
        }
        info!(generation, "configuration reloaded");
        Ok(generation)
    }

    /// Ends in the order in which nobody's request is lost: the front tier takes nothing new and joins what it has
    /// accepted, then the load balancers finish their requests and close, then the targets.
    ///
    /// Gives how many flows and requests were still running when the drain's time was over.
    pub(crate) async fn stop(&self) -> usize {
        let limit = Duration::from_secs(self.config().snapshot.settings.limits.drain_s.into());
        // What hangs in a blackhole will never finish; as a crash it ends now.
        for (_, host) in self.hosts.all() {
            if host.fault() == Fault::Blackhole {
                host.set_fault(Fault::Crash);
            }
        }
        self.entry.begin();
        if let Some(proxy) = &self.proxy {
            proxy.listeners_closed().await;
            let _ = tokio::time::timeout(JOIN_LIMIT, proxy.connected()).await;
        }
        self.regional.drain_nodes();
        let (flows, requests) = tokio::join!(self.entry.finish(limit), self.regional.finish_nodes(limit));
        let targets = self.regional.finish_targets(limit).await;
        self.process.begin();
        flows + requests + targets
    }

    /// Whether everything that this process runs knows enough to serve.
    fn ready(&self) -> Result<(), String> {
        if let Some(front) = &self.front {
            let view = front.view();
            let unknown: Vec<String> = (view.snapshot.load_balancers.iter().zip(&view.health.load_balancers))
                .filter(|(_, health)| health.nodes.iter().all(|n| n.reach == perigee_health::Reach::Unknown))
                .map(|(lb, _)| format!("{}/{} has not been sampled", view.snapshot.region(lb.region).code, lb.name))
                .collect();
            if !unknown.is_empty() {
                return Err(unknown.join(", "));
            }
            // A whole stack in one process is ready when its own regions are: until then everything fails open.
            if self.parts.nodes.is_some() {
                let initial =
                    view.health.load_balancers.iter().any(|h| h.measured == perigee_health::HealthState::Initial);
                let first = view.snapshot.load_balancers.iter().map(|lb| &view.snapshot.region(lb.region).code);
                let waiting: Vec<&RegionCode> = first.filter(|r| self.regional.is_initial(r)).collect();
                if initial || !waiting.is_empty() {
                    return Err("targets are in their first health checks".to_owned());
                }
            }
        }
        Ok(())
    }
}

/// Reads the zones and their keys as the DNS server will, on a thread that may take its time.
///
/// Errors: every problem in a zone, one a line.
async fn zones_served(config: &Config) -> Result<(), Vec<String>> {
    let snapshot = config.snapshot.clone();
    let checked = tokio::task::spawn_blocking(move || zone_problems(&snapshot)).await;
    let problems = checked.map_err(|e| vec![format!("the zones could not be checked: {e}")])?;
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}
