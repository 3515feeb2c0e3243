//! Worlds made from scenarios, over the shipped geography, which is loaded once.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use perigee_geo::{Atlas, Database, Overlay, Tables, shipped};
use perigee_sim::{Options, Outcome, Scenario, World, run, stack_of};

struct Geography {
    database: Arc<Database>,
    tables: Tables,
    overlay: Overlay,
}

fn geography() -> &'static Geography {
    static SHIPPED: OnceLock<Geography> = OnceLock::new();
    SHIPPED.get_or_init(|| Geography {
        database: Arc::new(Database::load(shipped::CITY).unwrap()),
        tables: Tables::parse(shipped::REGIONS, shipped::REGION_RTT, shipped::EDGES).unwrap(),
        overlay: Overlay::parse(shipped::OVERLAY).unwrap(),
    })
}

/// A scenario and the world that its `[stack]` describes; the operator is in Seoul.
pub(crate) struct Play {
    scenario: Scenario,
    world: World,
}

impl Play {
    pub(crate) fn new(text: &str) -> Self {
        let scenario = Scenario::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let geography = geography();
        let snapshot = stack_of(&scenario.stack.clone().unwrap(), &geography.tables).unwrap();
        let regions: Vec<_> = snapshot.regions.iter().map(|r| (r.code.clone(), r.location)).collect();
        let atlas =
            Atlas::build(&geography.database, &geography.tables, &geography.overlay, &regions, "Seoul").unwrap();
        let world = World { snapshot: Arc::new(snapshot), atlas: Arc::new(atlas), attribution: String::new() };
        Self { scenario, world }
    }

    pub(crate) fn with(&self, options: &Options) -> Outcome {
        run(&self.scenario, &self.world, options, &mut ()).unwrap()
    }

    pub(crate) fn seed(&self, seed: u64) -> Outcome {
        self.with(&Options { seed, ..Options::default() })
    }
}

/// Plays the scenario once, with seed 1.
pub(crate) fn play(text: &str) -> Outcome {
    Play::new(text).seed(1)
}

/// What `job` makes of each number from 1 to `count`, in their order, on all processors.
pub(crate) fn each<T: Send>(count: u64, job: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let next = AtomicU64::new(1);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, NonZeroUsize::get) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number > count {
                        break;
                    }
                    let made = job(number);
                    done.lock().unwrap().push((number, made));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, made)| made).collect()
}
