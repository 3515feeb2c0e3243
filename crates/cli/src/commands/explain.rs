use perigee_admin::{AskError, Explain, ask};
use perigee_health::HealthState;
use serde_json::{Value, json};

use super::{problems, sources};
use crate::args;
use crate::output;
use crate::stack::{Explanation, offline};

/// Explains the way of one request: of the running stack, or of the configuration when none runs.
pub(crate) async fn explain(args: args::Explain) -> Result<(), String> {
    let mut headers = std::collections::BTreeMap::new();
    for header in &args.headers {
        let (name, value) = header.split_once(':').ok_or_else(|| format!("--header {header}: expected K:V"))?;
        headers.insert(name.trim().to_lowercase(), value.trim().to_owned());
    }
    let host = args.host.clone().or_else(|| headers.get("host").cloned());
    let request = Explain { client: args.client, host, path: args.path.clone(), method: args.method.clone(), headers };
    let answer = match ask(args.running.admin, "/v1/explain", Some(&json!(request))).await {
        Ok(answer) => answer,
        Err(AskError::Unreachable { .. }) => {
            let config = perigee_config::load(&sources(&args.sources)?).map_err(|p| problems(&p))?;
            json!(offline(&config, &request)?)
        }
        Err(error) => return Err(error.to_string()),
    };
    if args.running.json {
        output::line(answer.to_string());
        return Ok(());
    }
    let explanation: Explanation =
        serde_json::from_value(answer).map_err(|e| format!("an explanation of another version: {e}"))?;
    render(&explanation, &request);
    Ok(())
}

fn render(e: &Explanation, request: &Explain) {
    let line = |text: String| output::line(text);
    let route = &e.route;
    if !e.live {
        line("No stack is running: explained from the configuration, with everything healthy.\n".into());
    }
    line(format!("client   {} is in {} ({})", route.client, route.place, route.place_origin));
    for name in &e.names {
        let region = name.region.as_deref().unwrap_or("nothing");
        line(format!("DNS      {} -> {region} for {} s: {}", name.label, name.ttl_s, name.reason));
        for (region, rtt_ms, health) in &name.considered {
            line(format!("           {region:<16} {rtt_ms:>6.1} ms  {}", word(*health)));
        }
    }
    line(format!(
        "anycast  {} -> edge {} ({}), about {:.0} ms away",
        route.destination, route.pop, route.pop_city, route.client_to_pop_ms
    ));
    line(format!("edge     accelerator {}, endpoint groups by distance:", route.accelerator));
    for group in &route.groups {
        let endpoints: Vec<String> = (group.endpoints.iter())
            .map(|(name, weight, measured, forced)| {
                let forced = forced.map_or(String::new(), |f| format!(", forced {}", format!("{f:?}").to_lowercase()));
                format!("{name} (weight {weight}, {}{forced})", word(*measured))
            })
            .collect();
        let notes = if group.notes.is_empty() { "not needed".to_owned() } else { group.notes.join("; ") };
        line(format!(
            "           {:<16} {:>6.1} ms  dial {:>3}  {}  <- {notes}",
            group.region,
            group.rtt_ms,
            group.traffic_dial,
            endpoints.join(", ")
        ));
    }
    match &route.chosen {
        Some(chosen) => line(format!(
            "           -> {} {} in {} at {}: {}",
            chosen.region, chosen.load_balancer, chosen.zone, chosen.address, route.reason
        )),
        None => line(format!("           -> reset: {}", route.reason)),
    }
    match &e.request {
        Some(trace) => regional(trace, request),
        None => line("region   the load balancer node runs in another process; ask its admin API".into()),
    }
    if let Some(attribution) = &e.attribution {
        line(format!("\n{attribution} (https://db-ip.com)"));
    }
}

fn regional(trace: &Value, request: &Explain) {
    output::line(format!("region   {} {}, rules by priority:", request.method, request.path));
    for rule in trace["rules"].as_array().into_iter().flatten() {
        let priority = rule["priority"].as_u64().map_or_else(|| "default".to_owned(), |p| p.to_string());
        output::line(format!(
            "           rule {priority:<8} {}",
            rule["outcome"].as_str().unwrap_or("?").replace('_', " ")
        ));
    }
    if let Some(group) = trace["target_group"].as_str() {
        let open =
            if trace["fail_open"].as_bool() == Some(true) { " (fails open: all registered targets)" } else { "" };
        output::line(format!("           target group {group}{open}:"));
    }
    for target in trace["targets"].as_array().into_iter().flatten() {
        let address = format!("{}:{}", target["target"]["address"].as_str().unwrap_or("?"), target["target"]["port"]);
        let state = target["state"].as_str().unwrap_or("?");
        let reason = target["reason"].as_str().map_or(String::new(), |r| format!(" {r}"));
        output::line(format!("           {address:<22} {state}{reason}, {} in flight", target["in_flight"]));
    }
    let chosen = &trace["chosen"];
    if let Some(address) = chosen["address"].as_str() {
        let zone = chosen["zone"].as_str().unwrap_or("?");
        output::line(format!("           -> {address}:{} in {zone}: next in turn", chosen["port"]));
    } else {
        output::line(format!("           -> refused: {}", trace["refusal"]));
    }
}

const fn word(health: HealthState) -> &'static str {
    match health {
        HealthState::Initial => "not judged yet",
        HealthState::Healthy => "healthy",
        HealthState::Unhealthy => "unhealthy",
    }
}
