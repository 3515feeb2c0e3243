use std::io::{IsTerminal, stderr};
use std::net::{IpAddr, SocketAddr};

use indicatif::{ProgressBar, ProgressStyle};
use perigee_admin::ask;
use perigee_geo::{Overlay, shipped};
use perigee_load::{Connections, DnsPlan, LoadPlan, run, run_dns};
use serde::Serialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::args::Load;
use crate::output;

/// Sends load, or asks DNS, until the time is over or Ctrl-C. Fails when any request did.
pub(crate) async fn load(args: Load) -> Result<(), String> {
    let source = match (&args.from, args.source) {
        (Some(place), _) => Some(address_at(place).map_err(|e| format!("--from {e}"))?),
        (None, source) => source,
    };
    let stop = CancellationToken::new();
    tokio::spawn({
        let stop = stop.clone();
        async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                stop.cancel();
            }
        }
    });
    let display = Display::new(&args);
    if let Some(name) = &args.dns {
        let server = args.server.unwrap_or_else(|| ([127, 0, 0, 1], 5300).into());
        let mut plan = DnsPlan::new(server, name);
        plan.source_ip = source;
        plan.rate = args.rate.unwrap_or(plan.rate);
        plan.duration = args.duration;
        plan.timeout = args.timeout;
        plan.regions = regions(args.admin).await;
        let summary = run_dns(plan, stop, |second| display.second(second)).await.map_err(|e| e.to_string())?;
        return display.summary(&summary, summary.failed);
    }
    let mut plan = LoadPlan::new(args.url.clone().unwrap_or_default());
    plan.source_ip = source;
    plan.resolver = args.server;
    plan.rate = args.rate.unwrap_or(plan.rate);
    plan.duration = args.duration;
    plan.timeout = args.timeout;
    plan.connections = match (args.new, args.keep) {
        (true, _) => Connections::New,
        (_, true) => Connections::Keep,
        _ => Connections::Mixed,
    };
    let summary = run(plan, stop, |second| display.second(second)).await.map_err(|e| e.to_string())?;
    let lost = summary.failed + summary.shed;
    display.summary(&summary, lost)
}

/// An address at a simulated place: the ninth of its prefix, so that repeated runs are the same client.
///
/// Errors: no place of the overlay has that name.
pub(crate) fn address_at(place: &str) -> Result<IpAddr, String> {
    let overlay = Overlay::parse(shipped::OVERLAY).map_err(|e| e.to_string())?;
    let named = |e: &&perigee_geo::OverlayEntry| e.place.as_ref().is_some_and(|p| p.city.eq_ignore_ascii_case(place));
    let Some(entry) = overlay.entries.iter().find(named) else {
        let known: Vec<&str> = overlay.entries.iter().filter_map(|e| e.place.as_ref()).map(|p| &*p.city).collect();
        return Err(format!("{place}: no such place; there are {}", known.join(", ")));
    };
    entry.prefix.hosts().nth(8).ok_or_else(|| format!("{place}: its prefix has no ninth address"))
}

/// Which region each load balancer address belongs to, if a stack runs here that can be asked.
async fn regions(admin: SocketAddr) -> std::collections::BTreeMap<IpAddr, String> {
    let Ok(status) = ask(admin, "/v1/status", None).await else { return Default::default() };
    let lbs = status["load_balancers"].as_array().into_iter().flatten();
    lbs.flat_map(|lb| {
        let region = lb["region"].as_str().unwrap_or_default().to_owned();
        let nodes = lb["nodes"].as_array().into_iter().flatten();
        nodes.filter_map(move |n| Some((n["address"].as_str()?.parse().ok()?, region.clone()))).collect::<Vec<_>>()
    })
    .collect()
}

struct Display {
    json: bool,
    bar: Option<ProgressBar>,
}

impl Display {
    fn new(args: &Load) -> Self {
        let bar = (!args.json && stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len} s  {msg}");
            let bar = ProgressBar::new(args.duration.as_secs_f64().ceil() as u64);
            style.map(|s| bar.clone().with_style(s)).unwrap_or(bar)
        });
        Self { json: args.json, bar }
    }

    fn second<T: Serialize + std::fmt::Display>(&self, second: &T) {
        match (&self.bar, self.json) {
            (_, true) => output::line(json!({ "second": second }).to_string()),
            (Some(bar), _) => {
                bar.inc(1);
                bar.println(second.to_string());
            }
            (None, _) => output::note(second.to_string()),
        }
    }

    fn summary<T: Serialize + std::fmt::Display>(&self, summary: &T, lost: u64) -> Result<(), String> {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        output::line(if self.json { json!({ "summary": summary }).to_string() } else { summary.to_string() });
        if lost == 0 { Ok(()) } else { Err(format!("{lost} requests failed")) }
    }
}
