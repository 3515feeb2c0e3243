use std::sync::Arc;
use std::time::Duration;

use perigee_dataplane::{BalancerOutput, Probe};
use perigee_net::{Fault, ProbeTarget, probe};
use tracing::info;

use crate::node::Shared;

/// What health checks call themselves (ALB guide, "Health checks for your target groups").
const USER_AGENT: &str = "ELB-HealthChecker/2.0";
/// Idle connections to targets are looked through at least this often.
const EXPIRE_AT_LEAST: Duration = Duration::from_secs(30);

/// Moves a node's time: health checks, deregistration deadlines, ageing of idle connections. Ends with the node.
pub(crate) async fn drive(node: Arc<Shared>) {
    let mut faults = node.host.watch();
    let mut swept = tokio::time::Instant::now();
    loop {
        if *faults.borrow_and_update() == Fault::Crash {
            node.pool.clear();
            tokio::select! {
                _ = faults.changed() => {}
                () = node.stop.cancelled() => return,
            }
            if *faults.borrow_and_update() != Fault::Crash {
                info!(host = node.host.name(), "the host is back; its node starts anew");
                node.core().balancer.restart(node.clock.now());
            }
            continue;
        }
        let sweep_every = (node.config().idle_timeout / 2).min(EXPIRE_AT_LEAST);
        if swept.elapsed() >= sweep_every {
            node.pool.expire(node.config().idle_timeout);
            swept = tokio::time::Instant::now();
        }
        let next = step(&node).map(|at| node.clock.deadline(at));
        let wake_at = next.map_or(swept + sweep_every, |next| next.min(swept + sweep_every));
        tokio::select! {
            () = tokio::time::sleep_until(wake_at) => {}
            () = node.wake.notified() => {}
            _ = faults.changed() => {}
            () = node.stop.cancelled() => {
                node.pool.clear();
                return;
            }
        }
    }
}

/// Does what is due; gives the moment of the next thing.
fn step(node: &Arc<Shared>) -> Option<perigee_model::Instant> {
    let now = node.clock.now();
    let (outputs, probes, next, targets) = {
        let mut core = node.core();
        core.balancer.handle_timeout(now);
        let outputs: Vec<BalancerOutput> = std::iter::from_fn(|| core.balancer.poll_output()).collect();
        let probes: Vec<Probe> = std::iter::from_fn(|| core.balancer.poll_probe(now)).collect();
        (outputs, probes, core.balancer.poll_timeout(), core.balancer.targets())
    };
    for output in outputs {
        apply(node, output);
    }
    for target in targets {
        node.metrics().target_state(target.target_group.as_str(), &target.target, Some(target.state));
    }
    for probe in probes {
        tokio::spawn(run_probe(node.clone(), probe));
    }
    next
}

fn apply(node: &Shared, output: BalancerOutput) {
    match output {
        BalancerOutput::Health { target_group, target, transition, failure } => {
            let why = failure.map_or_else(String::new, |f| f.to_string());
            info!(
                node = node.host.name(), group = %target_group, target = %target.address, port = target.port,
                from = ?transition.from, to = ?transition.to, why, "target health"
            );
        }
        BalancerOutput::Draining { id, target_group, target } => {
            info!(node = node.host.name(), group = %target_group, target = %target.address, port = target.port, "draining");
            node.pool.drain(id);
        }
        BalancerOutput::Gone { id, target_group, target, in_flight } => {
            info!(
                node = node.host.name(), group = %target_group, target = %target.address, port = target.port,
                in_flight, "deregistered"
            );
            node.pool.cut(id);
            node.metrics().target_state(target_group.as_str(), &target, None);
        }
    }
}

async fn run_probe(node: Arc<Shared>, due: Probe) {
    let target = ProbeTarget {
        protocol: due.protocol,
        address: due.address,
        path: due.path,
        user_agent: USER_AGENT,
        timeout: due.timeout,
    };
    let result = probe(&node.host, Some(node.config().address), &target).await;
    // A host that crashed meanwhile gives a failure here; it forgets that when it starts anew.
    node.core().balancer.probed(due.id, result);
    node.wake.notify_one();
}
