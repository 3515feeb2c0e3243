use perigee_admin::ask;
use perigee_health::{HealthState, Reach, TargetState};

use crate::args;
use crate::output::{self, GREEN, RED, YELLOW, is_terminal, paint, table};
use crate::stack::Status;

/// Shows a running stack.
pub(crate) async fn status(args: &args::Status) -> Result<(), String> {
    let answer = ask(args.running.admin, "/v1/status", None).await.map_err(|e| e.to_string())?;
    if args.running.json {
        output::line(answer.to_string());
        return Ok(());
    }
    let status: Status = serde_json::from_value(answer).map_err(|e| format!("a status of another version: {e}"))?;
    output::line(format!(
        "generation {}, behaviour {}, up {} s",
        status.generation,
        status.behaviour,
        status.uptime_ms / 1_000
    ));
    if !status.load_balancers.is_empty() {
        output::line("");
        output::line(load_balancers(&status));
    }
    if !status.endpoints.is_empty() {
        output::line("");
        output::line(endpoints(&status));
    }
    if !status.targets.is_empty() {
        output::line("");
        output::line(targets(&status));
    }
    if !status.dns_health_checks.is_empty() {
        output::line("");
        output::line(checks(&status));
    }
    if let Some(edge) = &status.edge {
        let pop = edge.pop.as_ref().map_or(String::new(), |p| format!(" {p}"));
        output::line(format!("\nedge{pop}: {} flows open on {}", edge.active_flows, edge.listening.join(", ")));
        if !edge.dead_pops.is_empty() {
            output::line(format!("out of the anycast: {}", edge.dead_pops.join(", ")));
        }
    }
    for (machine, fault) in &status.faults {
        output::line(format!("{} {machine}: {fault}", paint("fault", RED, is_terminal())));
    }
    if let Some(attribution) = &status.attribution {
        output::line(format!("\n{attribution} (https://db-ip.com)"));
    }
    Ok(())
}

fn load_balancers(status: &Status) -> String {
    let rows = status.load_balancers.iter().map(|lb| {
        let nodes: Vec<String> = lb
            .nodes
            .iter()
            .map(|n| {
                let reach = match n.reach {
                    Reach::Up if n.in_service => "in service",
                    Reach::Up => "out of service",
                    Reach::Unknown => "unknown",
                    Reach::Down => "down",
                    Reach::Recovering => "recovering",
                };
                let why = n.failure.map_or(String::new(), |f| format!(" ({f})"));
                format!("{} {reach}{why}", n.zone)
            })
            .collect();
        vec![
            format!("{} ({})", lb.region, lb.city),
            lb.name.clone(),
            state(lb.measured),
            lb.forced.map_or_else(|| "-".to_owned(), |f| format!("{f:?}").to_lowercase()),
            state(lb.effective),
            lb.share_percent.map_or_else(|| "-".to_owned(), |s| format!("{s:.1} %")),
            nodes.join(", "),
        ]
    });
    table(&["region", "load balancer", "measured", "forced", "effective", "share", "nodes"], rows.collect())
}

fn endpoints(status: &Status) -> String {
    let rows = status.endpoints.iter().map(|e| {
        let failure = e.failure.map_or_else(|| "-".to_owned(), |f| f.to_string());
        let held = if e.held { "coming back" } else { "-" };
        vec![
            format!("{} {}", e.accelerator, e.listener),
            e.region.clone(),
            format!("{} {}", e.kind, e.id),
            e.weight.to_string(),
            state(e.measured),
            e.forced.map_or_else(|| "-".to_owned(), |f| format!("{f:?}").to_lowercase()),
            state(e.effective),
            held.to_owned(),
            failure,
        ]
    });
    let columns =
        ["listener", "region", "endpoint", "weight", "measured", "forced", "effective", "held", "last probe failed"];
    table(&columns, rows.collect())
}

fn targets(status: &Status) -> String {
    let rows = status.targets.iter().map(|t| {
        let state = match t.state {
            None => paint("unknown: no node answers", YELLOW, is_terminal()),
            Some(TargetState::Healthy) => paint("healthy", GREEN, is_terminal()),
            Some(TargetState::Unhealthy) => paint("unhealthy", RED, is_terminal()),
            Some(TargetState::Initial) => "initial".to_owned(),
            Some(TargetState::Draining) => paint("draining", YELLOW, is_terminal()),
        };
        let reason = t.reason.clone().unwrap_or_else(|| "-".to_owned());
        vec![t.target.clone(), t.zone.clone(), t.target_group.clone(), state, reason, t.in_flight.to_string()]
    });
    table(&["target", "zone", "target group", "state", "reason", "in flight"], rows.collect())
}

fn checks(status: &Status) -> String {
    let rows = status.dns_health_checks.iter().map(|c| {
        let verdict = state(if c.known.healthy { HealthState::Healthy } else { HealthState::Unhealthy });
        let votes = match (c.disabled, c.known.undecided) {
            (true, _) => "-".to_owned(),
            (false, 0) => format!("{} of {}", c.known.votes, c.known.voters),
            (false, undecided) => format!("{} of {}, {undecided} undecided", c.known.votes, c.known.voters),
        };
        let why: Vec<&str> = [("disabled", c.disabled), ("inverted", c.inverted), ("forced", c.known.forced.is_some())]
            .into_iter()
            .filter_map(|(word, is_so)| is_so.then_some(word))
            .collect();
        let failure = match (c.known.last_failure, c.failed_ms_ago) {
            (Some(last), Some(ago)) => format!("{}, {} s ago", last.failure, ago / 1_000),
            _ => "-".to_owned(),
        };
        let why = if why.is_empty() { "-".to_owned() } else { why.join(", ") };
        vec![c.known.name.clone(), c.kind.clone(), verdict, votes, why, failure]
    });
    table(&["health check", "type", "state", "votes", "switches", "last failure"], rows.collect())
}

fn state(state: HealthState) -> String {
    match state {
        HealthState::Initial => "initial".to_owned(),
        HealthState::Healthy => paint("healthy", GREEN, is_terminal()),
        HealthState::Unhealthy => paint("unhealthy", RED, is_terminal()),
    }
}
