//! Plays a scenario on real sockets: a stack in this process, loads that know nothing of it, faults at their moments.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use perigee_admin::{Control, ControlError, Kill, Restore};
use perigee_config::Sources;
use perigee_health::{HealthState, TargetState};
use perigee_load::{LoadPlan, Second, Summary};
use perigee_model::Snapshot;
use perigee_sim::{Connections, Entry, Event, JudgedBound, LoadModel, LoadSummary, Scenario};
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::runtime::{Handle, Runtime};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::args::sim::Ground;
use crate::commands::load::address_at;
use crate::commands::up::{hint, raise_file_limit};
use crate::commands::{listen, problems, sources};
use crate::stack::{Parts, Stack};

/// How long a stack may take until everything in it is healthy.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long its last listener may take to close.
const END_LIMIT: Duration = Duration::from_secs(5);
/// Between two looks at a state.
const LOOK: Duration = Duration::from_millis(20);

/// What came of it. Moments are milliseconds since 1970.
#[derive(Clone, Debug)]
pub(super) struct Played {
    /// What each load measured.
    pub(super) loads: BTreeMap<String, LoadSummary>,
    /// The same with everything that `perigee load --json` prints.
    pub(super) printed: BTreeMap<String, Value>,
    /// When each event was done.
    pub(super) events: BTreeMap<String, u64>,
    /// What had to hold.
    pub(super) bounds: Vec<JudgedBound>,
}

/// Plays `scenario`; `on_second` is told every second of every load, by the load's name.
///
/// Errors: the scenario has parts that only virtual time knows, the stack does not start or does not get healthy, a
/// load cannot start, an event names nothing that runs.
pub(super) async fn play(
    scenario: &Scenario,
    ground: &Ground,
    on_second: impl Fn(&str, &Second) + Clone + Send + 'static,
) -> Result<Played, String> {
    scenario.playable_live()?;
    raise_file_limit();
    let sources = with_scenario(scenario, ground)?;
    let config = perigee_config::load(&sources).map_err(|p| problems(&p))?;
    let (stack, admin) = Stack::start(sources, config, Parts::all()).await.map_err(|e| hint(&e))?;
    let played = on_stack(&stack, scenario, on_second).await;
    stack.stop().await;
    // Its task ends by itself; who plays again needs the address.
    let closed = async {
        while TcpStream::connect(admin.local_addr()).await.is_ok() {
            tokio::time::sleep(LOOK).await;
        }
    };
    let _ = tokio::time::timeout(END_LIMIT, closed).await;
    played
}

/// The sources of the stack: the scenario's behaviour and times over the user's configuration, flags over both.
fn with_scenario(scenario: &Scenario, ground: &Ground) -> Result<Sources, String> {
    let mut from = sources(&ground.sources)?;
    let times = scenario.timing.iter().map(|(key, value)| (format!("timing.{key}"), value.to_string()));
    let behaviour = [("behaviour".to_owned(), scenario.behaviour.clone())];
    let of_scenario = times.chain(behaviour).map(|(key, value)| (key, value, "the scenario".to_owned()));
    let given = std::mem::take(&mut from.flags);
    let is_given = |key: &str| given.iter().any(|(k, ..)| k == key);
    from.flags = of_scenario.filter(|(key, ..)| !is_given(key)).collect();
    from.flags.extend(given);
    listen(&mut from, "admin.listen", ground.admin, "--admin");
    listen(&mut from, "dns.listen", ground.dns, "--dns");
    Ok(from)
}

async fn on_stack(
    stack: &Arc<Stack>,
    scenario: &Scenario,
    on_second: impl Fn(&str, &Second) + Clone + Send + 'static,
) -> Result<Played, String> {
    all_healthy(stack).await?;
    let plans: Vec<LoadPlan> = scenario.load.iter().map(|l| plan(stack, l)).collect::<Result<_, _>>()?;
    let stop = CancellationToken::new();
    let clients = Clients::start()?;
    let mut running: JoinSet<(String, Result<Summary, String>)> = JoinSet::new();
    let began = Instant::now();
    for (load, plan) in scenario.load.iter().zip(plans) {
        let (name, stop, on_second) = (load.name.clone(), stop.clone(), on_second.clone());
        let told = name.clone();
        let load = async move {
            let summary = perigee_load::run(plan, stop, move |second| on_second(&told, second)).await;
            let summary = summary.map_err(|e| format!("load {name}: {e}"));
            (name, summary)
        };
        running.spawn_on(load, clients.handle());
    }
    let happened = events(stack, scenario, began).await;
    if happened.is_err() {
        stop.cancel();
    }
    let (mut loads, mut printed) = (BTreeMap::new(), BTreeMap::new());
    while let Some(done) = running.join_next().await {
        let (name, summary) = done.map_err(|e| format!("a load broke: {e}"))?;
        let value = serde_json::to_value(summary?).map_err(|e| format!("load {name}: {e}"))?;
        let summary = LoadSummary::deserialize(&value).map_err(|e| format!("load {name}: {e}"))?;
        loads.insert(name.clone(), summary);
        printed.insert(name, value);
    }
    let events = happened?;
    let bounds = scenario.must_hold.iter().map(|bound| bound.judge(&loads, &events)).collect();
    Ok(Played { loads, printed, events, bounds })
}

/// Threads of the loads' own, so that the clients' schedule does not wait for the stack.
struct Clients(Option<Runtime>);

impl Clients {
    fn start() -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread().thread_name("load").enable_all().build();
        runtime.map(|r| Self(Some(r))).map_err(|e| format!("the loads cannot start: {e}"))
    }

    fn handle(&self) -> &Handle {
        match &self.0 {
            Some(runtime) => runtime.handle(),
            None => unreachable!("taken when dropped"),
        }
    }
}

impl Drop for Clients {
    /// A runtime may not be dropped where tasks run, as it waits for its own.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Waits until every load balancer and target counts as healthy.
async fn all_healthy(stack: &Stack) -> Result<(), String> {
    let waiting = || {
        let status = stack.status();
        let lbs = status.load_balancers.iter().filter(|lb| lb.effective != HealthState::Healthy);
        let targets = status.targets.iter().filter(|t| t.state != Some(TargetState::Healthy));
        let lbs = lbs.map(|lb| format!("{}/{}", lb.region, lb.name));
        lbs.chain(targets.map(|t| t.target.clone())).collect::<Vec<_>>()
    };
    let healthy = async {
        while Control::ready(stack).is_err() || !waiting().is_empty() {
            tokio::time::sleep(LOOK).await;
        }
    };
    let late = |_| format!("after {} s these are still not healthy: {}", START_LIMIT.as_secs(), waiting().join(", "));
    tokio::time::timeout(START_LIMIT, healthy).await.map_err(late)
}

/// The plan of a load on this stack.
fn plan(stack: &Stack, load: &LoadModel) -> Result<LoadPlan, String> {
    let snapshot = stack.snapshot();
    let host = match load.entry {
        Entry::Accelerator => accelerator(&snapshot),
        Entry::Dns => name(&snapshot),
    };
    let host = host.ok_or_else(|| format!("load {}: the configuration has no such entry", load.name))?;
    let mut plan = LoadPlan::new(format!("http://{host}{}", load.path));
    plan.source_ip = Some(address_at(&load.from).map_err(|e| format!("load {}: {e}", load.name))?);
    plan.resolver = stack.dns.as_ref().and_then(|d| d.local_addrs().first().copied());
    plan.rate = load.rate;
    plan.duration = Duration::from_secs_f64(load.for_s);
    plan.timeout = Duration::from_secs_f64(load.timeout_s);
    plan.connections = match load.connections {
        Connections::New => perigee_load::Connections::New,
        Connections::Keep => perigee_load::Connections::Keep,
        Connections::Mixed => perigee_load::Connections::Mixed,
    };
    Ok(plan)
}

/// Address and port of the first accelerator.
fn accelerator(snapshot: &Snapshot) -> Option<String> {
    let accelerator = snapshot.accelerators.first()?;
    let port = accelerator.listeners.first()?.port_ranges.first()?.from_port;
    Some(format!("{}:{port}", accelerator.addresses[0]))
}

/// The first name of the latency policy, and the port of its load balancers.
fn name(snapshot: &Snapshot) -> Option<String> {
    let name = snapshot.dns.latency_names.first()?;
    let lb = snapshot.load_balancers.iter().find(|lb| lb.name == name.load_balancer)?;
    Some(format!("{}.{}:{}", name.label, snapshot.dns.origin, lb.listeners.first()?.port))
}

/// Makes everything happen at its moment; gives when it was done.
async fn events(stack: &Stack, scenario: &Scenario, began: Instant) -> Result<BTreeMap<String, u64>, String> {
    let mut done = BTreeMap::new();
    for event in &scenario.at {
        // The moment itself is part of the scenario; there is no state to wait for.
        tokio::time::sleep_until(began + Duration::from_secs_f64(event.begins_s())).await;
        happen(stack, scenario, event).await.map_err(|e| format!("event {}: {e}", event.name))?;
        done.insert(event.name.clone(), unix_ms());
    }
    Ok(done)
}

async fn happen(stack: &Stack, scenario: &Scenario, event: &Event) -> Result<Value, ControlError> {
    if let (Some(what), Some(how)) = (&event.kill, event.how) {
        let kill = Kill { what: what.clone(), how: how.name().to_owned(), delay_ms: event.delay_ms };
        return Control::kill(stack, kill).await;
    }
    let what = event.restore.as_deref().unwrap_or_default();
    Control::restore(stack, Restore { what: scenario.mended_by(what).to_owned() }).await
}

/// Milliseconds since 1970, the clock of the loads' summaries.
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
