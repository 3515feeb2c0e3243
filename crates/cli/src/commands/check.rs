use serde_json::json;

use super::{listed, problems, sources};
use crate::args::Check;
use crate::geography::Geography;
use crate::output;
use crate::stack::zone_problems;

/// Validates a configuration; prints the result and each value's origin if asked.
pub(crate) fn check(args: &Check) -> Result<(), String> {
    let sources = sources(&args.sources)?;
    let refused = |list: Vec<String>| {
        if args.json {
            output::line(json!({ "valid": false, "problems": list }).to_string());
        }
        Err(format!("{} problem(s)", list.len()))
    };
    let config = match perigee_config::load(&sources) {
        Ok(config) => config,
        Err(found) if args.json => {
            output::line(json!({ "valid": false, "problems": found.iter().collect::<Vec<_>>() }).to_string());
            return Err(format!("{} problem(s)", found.iter().count()));
        }
        Err(found) => return Err(problems(&found)),
    };
    // Places and the geographic database are part of a configuration that works.
    if let Err(problem) = Geography::load(&config).and_then(|g| g.atlas(&config)) {
        return if args.json { refused(vec![problem]) } else { Err(problem) };
    }
    let zones = zone_problems(&config.snapshot);
    if !zones.is_empty() {
        return if args.json { refused(zones) } else { Err(listed("the zones have", &zones)) };
    }
    if args.print {
        output::line(if args.json { config.print_json() } else { config.print() });
    } else if args.json {
        output::line(json!({ "valid": true, "problems": [] }).to_string());
    } else {
        let s = &config.snapshot;
        output::line(format!(
            "valid: {} regions, {} load balancers, {} target groups, {} accelerators{}, {}",
            s.regions.len(),
            s.load_balancers.len(),
            s.target_groups.len(),
            s.accelerators.len(),
            custom_routing(s),
            zones_served(&s.dns)
        ));
    }
    Ok(())
}

/// The custom routing accelerators, if there is any.
fn custom_routing(s: &perigee_model::Snapshot) -> String {
    match s.custom_routing_accelerators.len() {
        0 => String::new(),
        1 => ", 1 custom routing accelerator".to_owned(),
        count => format!(", {count} custom routing accelerators"),
    }
}

/// The zones and how many names and health checks are written down for them.
fn zones_served(dns: &perigee_model::DnsZone) -> String {
    let zones: Vec<&str> = dns.zones.iter().map(|z| z.origin.as_str()).collect();
    let plural = if zones.len() == 1 { "" } else { "s" };
    let (names, checks) = (dns.latency_names.len() + dns.policy_names.len(), dns.health_checks.len());
    let checks = match checks {
        0 => String::new(),
        1 => ", 1 DNS health check".to_owned(),
        _ => format!(", {checks} DNS health checks"),
    };
    format!("zone{plural} {} ({names} names{checks})", zones.join(", "))
}
