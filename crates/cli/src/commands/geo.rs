use std::net::IpAddr;

use perigee_config::Config;
use serde_json::json;

use super::{problems, sources};
use crate::args::{self, Geo};
use crate::geography::Geography;
use crate::output;

/// Where an address is.
pub(crate) fn geo(args: &Geo) -> Result<(), String> {
    let Geo::Lookup { ip, sources: from, json } = args;
    let config = perigee_config::load(&load_sources(from)?).map_err(|p| problems(&p))?;
    lookup(*ip, &config, *json)
}

fn load_sources(from: &args::Sources) -> Result<perigee_config::Sources, String> {
    sources(from)
}

fn lookup(ip: IpAddr, config: &Config, as_json: bool) -> Result<(), String> {
    let geography = Geography::load(config)?;
    let atlas = geography.atlas(config)?;
    let located = atlas.locate(ip);
    let pop_index = atlas.pop(located.place_index);
    let pop = &atlas.pops()[pop_index.0];
    let region = |leg: &perigee_geo::Leg| config.snapshot.region(leg.region);
    let legs = atlas.order(located.place_index);
    let scope = atlas.scope(ip, if ip.is_ipv4() { 24 } else { 48 });
    if as_json {
        let regions: Vec<_> = (legs.iter())
            .map(|leg| json!({ "region": region(leg).code, "rtt_ms": leg.rtt_ms, "measured": leg.measured }))
            .collect();
        let answer = json!({
            "address": ip,
            "place": located.place,
            "origin": located.origin,
            "edge": { "code": pop.code, "city": pop.city, "rtt_ms": atlas.client_to_pop_ms(located.place_index, pop_index) },
            "regions": regions,
            "ecs_scope": scope,
            "attribution": geography.attribution,
        });
        output::line(answer.to_string());
        return Ok(());
    }
    let origin = format!("{:?}", located.origin).to_lowercase();
    let at = located.place.location.map_or(String::new(), |l| format!(" at {:.2}, {:.2}", l.latitude, l.longitude));
    output::line(format!("{ip} is in {}{at} ({origin})", located.place));
    let way = atlas.client_to_pop_ms(located.place_index, pop_index);
    output::line(format!("edge     {} ({}), about {way:.0} ms away", pop.code, pop.city));
    for leg in legs {
        let how = if leg.measured { "measured table" } else { "great circle" };
        output::line(format!("region   {:<16} {:>6.1} ms  {} ({how})", region(leg).code, leg.rtt_ms, region(leg).city));
    }
    output::line(format!("an answer for this address holds for its /{scope}"));
    if let Some(attribution) = geography.attribution {
        output::line(format!("\n{attribution} (https://db-ip.com)"));
    }
    Ok(())
}
