use std::net::SocketAddr;
use std::sync::Arc;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use perigee_admin::Admin;
use perigee_config::Sources;
use perigee_model::{Accelerator, AcceleratorListener, PortRange, TransportProtocol};
use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use super::{listen, problems, sources};
use crate::args::{Role, Up};
use crate::stack::{NodeFilter, Parts, Stack, TargetFilter};
use crate::{logging, output};

/// Runs the whole stack until it is told to end.
pub(crate) async fn up(args: Up) -> Result<(), String> {
    let mut sources = sources(&args.sources)?;
    listen(&mut sources, "admin.listen", args.admin, "--admin");
    listen(&mut sources, "dns.listen", args.dns, "--dns");
    serve(sources, Parts::all(), if args.json { Banner::Json } else { Banner::People }).await
}

/// Runs one role until it is told to end.
pub(crate) async fn run(role: Role) -> Result<(), String> {
    let (args, parts, flags) = match role {
        Role::Dns { role, listen } => {
            let flags = listen.map(|l| ("dns.listen", l.to_string(), "--listen"));
            (role, Parts { dns: true, ..Parts::default() }, flags)
        }
        Role::Edge { role, pop } => {
            let flags = pop.map(|p| ("pop", p, "--pop"));
            (role, Parts { edge: true, ..Parts::default() }, flags)
        }
        Role::Region { role, region, zone } => {
            let nodes = NodeFilter { region: Some(region), zone };
            (role, Parts { nodes: Some(nodes), ..Parts::default() }, None)
        }
        Role::Target { role, region, target } => {
            let targets = TargetFilter { region: Some(region), target: Some(target), lenient: false };
            (role, Parts { targets: Some(targets), ..Parts::default() }, None)
        }
        Role::Control { .. } => return Err("the AWS-compatible API is not built yet".to_owned()),
        Role::Console { .. } => return Err("the console is not built yet; the admin API serves JSON".to_owned()),
    };
    let mut sources = sources(&args.sources)?;
    listen(&mut sources, "admin.listen", args.admin, "--admin");
    if let Some((key, value, name)) = flags {
        sources.flags.push((key.to_owned(), value, name.to_owned()));
    }
    serve(sources, parts, Banner::None).await
}

enum Banner {
    People,
    Json,
    None,
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

async fn serve(sources: Sources, parts: Parts, banner: Banner) -> Result<(), String> {
    logging::start("info");
    raise_file_limit();
    // Before anything listens, so that no signal is lost to the default action.
    let catch = |kind| signal(kind).map_err(|e| format!("cannot catch signals: {e}"));
    let mut signals = Signals {
        interrupt: catch(SignalKind::interrupt())?,
        terminate: catch(SignalKind::terminate())?,
        hangup: catch(SignalKind::hangup())?,
    };
    let config = perigee_config::load(&sources).map_err(|p| problems(&p))?;
    let (stack, admin) = Stack::start(sources, config, parts).await.map_err(|e| hint(&e))?;
    match banner {
        Banner::People => people(&stack, &admin),
        Banner::Json => output::line(listening(&stack, &admin).to_string()),
        Banner::None => info!(admin = %admin.local_addr(), "serving"),
    }
    loop {
        tokio::select! {
            _ = signals.hangup.recv() => reload(&stack).await,
            _ = signals.interrupt.recv() => break,
            _ = signals.terminate.recv() => break,
        }
    }
    info!("draining: nothing new is taken, what runs is finished");
    let left = tokio::select! {
        left = stack.stop() => left,
        _ = signals.interrupt.recv() => {
            warn!("told twice: ending at once");
            return Ok(());
        }
    };
    if left > 0 {
        warn!(left, "the drain's time is over; these connections were cut");
    }
    info!("ended");
    Ok(())
}

async fn reload(stack: &Arc<Stack>) {
    if let Err(problems) = stack.reload().await {
        error!("the new configuration is refused, the old one stays in force");
        for problem in problems {
            error!(problem);
        }
    }
}

/// As many file descriptors as the system lets us have: every connection is one.
pub(crate) fn raise_file_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        warn!(%error, soft, "cannot raise the limit on open files");
    }
}

/// What to do about an error of the start.
pub(crate) fn hint(error: &str) -> String {
    if error.contains("Cannot assign requested address") {
        format!(
            "{error}\nThis system does not answer on all of 127.0.0.0/8 (Linux does). Run the compose stack instead: \
             `cargo xtask compose up`"
        )
    } else if error.contains("Address already in use") {
        format!("{error}\nIs another stack running? `perigee status` asks it.")
    } else {
        error.to_owned()
    }
}

fn listening(stack: &Stack, admin: &Admin) -> Value {
    let snapshot = stack.snapshot();
    let accelerators: Vec<Value> = (snapshot.accelerators.iter())
        .map(|a| {
            let ports = a.listeners.iter().flat_map(|l| &l.port_ranges).flat_map(|r| r.from_port..=r.to_port);
            let ports: Vec<u16> = ports.collect();
            json!({ "name": a.name, "addresses": a.addresses, "ports": ports })
        })
        .collect();
    let custom: Vec<Value> = (snapshot.custom_routing_accelerators.iter())
        .map(|a| {
            let ranges: Vec<_> = a.listeners.iter().flat_map(|l| &l.port_ranges).collect();
            json!({ "name": a.name, "addresses": a.addresses, "port_ranges": ranges })
        })
        .collect();
    let load_balancers: Vec<Value> = (snapshot.load_balancers.iter())
        .map(|lb| {
            let nodes: Vec<_> = lb.nodes.iter().map(|n| json!({ "zone": n.zone, "address": n.address })).collect();
            let ports: Vec<u16> = lb.listeners.iter().map(|l| l.port).collect();
            json!({ "name": lb.name, "region": snapshot.region(lb.region).code, "nodes": nodes, "ports": ports })
        })
        .collect();
    json!({
        "dns": stack.dns.as_ref().map(|d| d.local_addrs().to_vec()),
        "dns_over_tls": stack.dns.as_ref().map(|d| d.tls_addrs().dot.clone()),
        "dns_over_https": stack.dns.as_ref().map(|d| d.tls_addrs().doh.clone()),
        "dns_over_quic": stack.dns.as_ref().map(|d| d.tls_addrs().doq.clone()),
        "zone": snapshot.dns.origin,
        "accelerators": accelerators,
        "custom_routing_accelerators": custom,
        "load_balancers": load_balancers,
        "admin": admin.local_addr(),
        "behaviour": snapshot.settings.behaviour,
    })
}

fn people(stack: &Stack, admin: &Admin) {
    let snapshot = stack.snapshot();
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = |what: String, place: String| rows.push(vec![what, place]);
    let listening = stack.dns.as_ref().map_or(&[][..], perigee_dns::Server::local_addrs);
    if !listening.is_empty() {
        let zones: Vec<&str> = snapshot.dns.zones.iter().map(|zone| zone.origin.as_str()).collect();
        let plural = if zones.len() == 1 { "" } else { "s" };
        let at: Vec<String> = listening.iter().map(ToString::to_string).collect();
        row("DNS (UDP and TCP)".into(), format!("{}, zone{plural} {}", at.join(" and "), zones.join(", ")));
    }
    if let Some(tls) = stack.dns.as_ref().map(perigee_dns::Server::tls_addrs) {
        for (what, at) in [("TLS", &tls.dot), ("HTTPS", &tls.doh), ("QUIC", &tls.doq)] {
            at.iter().for_each(|address| row(format!("DNS over {what}"), address.to_string()));
        }
    }
    let mut first = None;
    for accelerator in &snapshot.accelerators {
        row(format!("accelerator {}", accelerator.name), place_of(accelerator));
        let tcp = accelerator.listeners.iter().find(|l| l.protocol == TransportProtocol::Tcp);
        if let (Some(range), Some(ip)) = (tcp.and_then(|l| l.port_ranges.first()), accelerator.addresses.first()) {
            first.get_or_insert_with(|| format!("http://{}/", SocketAddr::new(*ip, range.from_port)));
        }
    }
    for accelerator in &snapshot.custom_routing_accelerators {
        let ranges = accelerator.listeners.iter().flat_map(|l| &l.port_ranges);
        let ranges: Vec<String> = ranges.map(|r| format!("{}-{}", r.from_port, r.to_port)).collect();
        let [a, b] = accelerator.addresses;
        let place = format!("{a} and {b}, ports {}", ranges.join(", "));
        row(format!("custom routing accelerator {}", accelerator.name), place);
    }
    for lb in &snapshot.load_balancers {
        let region = snapshot.region(lb.region);
        let port = lb.listeners.first().map_or(0, |l| l.port);
        let nodes: Vec<String> = lb.nodes.iter().map(|n| format!("{}:{port}", n.address)).collect();
        row(format!("{} ({}), load balancer {}", region.city, region.code, lb.name), nodes.join(" and "));
        for group in lb.target_groups() {
            let targets = snapshot.target_group(group).targets.iter();
            let targets: Vec<String> = targets.map(|t| format!("{}:{}", t.address, t.port)).collect();
            row(format!("  targets of {}", snapshot.target_group(group).name), targets.join(" and "));
        }
    }
    row("admin API, /metrics".into(), format!("http://{}", admin.local_addr()));
    output::line(output::table(&["what", "where"], rows));
    let zone = &snapshot.dns.origin;
    let name = snapshot.dns.latency_names.first().map_or("app", |n| n.label.as_str());
    output::line("\nTry, in another terminal:");
    if let Some(dns) = listening.first() {
        output::line(format!(
            "  dig @{} -p {} +subnet=168.126.63.0/24 {name}.{zone}     # which region a client in Korea gets",
            dns.ip(),
            dns.port()
        ));
    }
    if let (Some(url), Some(region)) = (first, snapshot.regions.last()) {
        output::line(format!("  curl --interface 127.81.200.9 {url}            # a client in Tokyo"));
        output::line(format!("  perigee load --from Seoul --rate 200 --for 60 {url}   # and meanwhile:"));
        output::line(format!("  perigee kill {0} && sleep 10 && perigee restore {0}", region.code));
    }
    output::line("  perigee explain --client 127.81.200.9      # why it goes where it goes");
    if let Some(attribution) = stack.attribution() {
        output::line(format!("\n{attribution} (https://db-ip.com). Ctrl-C drains and ends."));
    }
}

/// Where an accelerator is: its addresses with the port if it has but one, over TCP, and else its protocols and ports.
fn place_of(accelerator: &Accelerator) -> String {
    let all = |at: Vec<String>| at.join(" and ");
    let addresses = accelerator.addresses.iter();
    if let [AcceleratorListener { protocol: TransportProtocol::Tcp, port_ranges, .. }] = &accelerator.listeners[..]
        && let [PortRange { from_port, to_port }] = port_ranges[..]
        && from_port == to_port
    {
        return all(addresses.map(|ip| SocketAddr::new(*ip, from_port).to_string()).collect());
    }
    let listener = |l: &AcceleratorListener| {
        let range = |r: &PortRange| match (r.from_port, r.to_port) {
            (from, to) if from == to => from.to_string(),
            (from, to) => format!("{from}-{to}"),
        };
        format!("{} {}", l.protocol, l.port_ranges.iter().map(range).collect::<Vec<_>>().join(", "))
    };
    let listeners: Vec<String> = accelerator.listeners.iter().map(listener).collect();
    format!("{}, {}", all(addresses.map(ToString::to_string).collect()), listeners.join(", "))
}

#[cfg(test)]
mod tests {
    use perigee_model::{AcceleratorName, ClientAffinity};

    use super::*;

    #[test]
    fn an_accelerator_is_told_by_its_port_or_by_all_its_protocols_and_ports() {
        let listener = |protocol, port_ranges| AcceleratorListener {
            protocol,
            port_ranges,
            client_affinity: ClientAffinity::None,
            endpoint_groups: Vec::new(),
        };
        let range = |from_port, to_port| PortRange { from_port, to_port };
        let mut accelerator = Accelerator {
            name: AcceleratorName::new("shop"),
            addresses: vec![[127, 75, 2, 1].into(), [127, 99, 83, 1].into()],
            enabled: true,
            listeners: vec![listener(TransportProtocol::Tcp, vec![range(8080, 8080)])],
            flow_logs: None,
        };
        assert_eq!(place_of(&accelerator), "127.75.2.1:8080 and 127.99.83.1:8080");
        accelerator.listeners.push(listener(TransportProtocol::Udp, vec![range(7000, 7999), range(9, 9)]));
        assert_eq!(place_of(&accelerator), "127.75.2.1 and 127.99.83.1, TCP 8080, UDP 7000-7999, 9");
    }
}
