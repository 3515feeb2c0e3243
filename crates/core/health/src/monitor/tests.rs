use std::time::Duration;

use perigee_model::{Behaviour, EdgeTiming, fixtures};
use proptest::prelude::*;

use super::*;
use crate::GroupReport;

/// What a node answers.
#[derive(Clone, Copy, Debug)]
enum Mode {
    Healthy,
    Empty,
    Open,
    Silent,
    Refusing,
}

impl Mode {
    fn answer(self) -> Result<NodeReport, ProbeFailure> {
        let group = |healthy, initial| GroupReport {
            name: "web".into(),
            healthy,
            initial,
            registered: healthy + initial,
            passes_dns: healthy > 0,
        };
        match self {
            Self::Healthy => Ok(NodeReport { target_groups: vec![group(2, 0)] }),
            Self::Empty => Ok(NodeReport { target_groups: vec![group(0, 0)] }),
            Self::Open => Ok(NodeReport { target_groups: vec![group(0, 2)] }),
            Self::Silent => Err(ProbeFailure::Timeout),
            Self::Refusing => Err(ProbeFailure::Connection),
        }
    }
}

#[derive(Clone, Debug)]
enum Event {
    Change(usize, Mode),
    Evidence(usize, Evidence),
    Pass(u64),
}

/// Two regions with two nodes each, and what the nodes answer.
#[derive(Clone)]
struct World {
    snapshot: Snapshot,
    monitor: Monitor,
    modes: [Mode; 4],
    now: Instant,
}

impl World {
    fn new(behaviour: Behaviour) -> Self {
        let mut snapshot = fixtures::snapshot(&["a", "b"]);
        snapshot.settings.behaviour = behaviour;
        snapshot.settings.timing = EdgeTiming::of(behaviour);
        let monitor = Monitor::new(&snapshot, Instant::START);
        Self { snapshot, monitor, modes: [Mode::Healthy; 4], now: Instant::START }
    }

    /// Takes every sample that is due before `until`, each answered at once.
    fn sample_until(&mut self, until: Instant) {
        while let Some(due) = self.monitor.poll_timeout().filter(|due| *due < until) {
            self.now = due.max(self.now);
            while let Some(sample) = self.monitor.poll_sample(self.now) {
                let node = self.monitor.find(&sample.node).expect("a node");
                self.monitor.sampled(&sample.node, self.modes[node].answer(), sample.began, self.now);
            }
        }
        self.now = until;
    }

    fn take(&mut self, event: &Event) {
        match event {
            Event::Change(node, mode) => self.modes[*node] = *mode,
            Event::Evidence(node, evidence) => {
                let key = self.monitor.nodes[*node].key.clone();
                self.monitor.evidence(&key, *evidence, self.now);
            }
            Event::Pass(ms) => self.sample_until(self.now + Duration::from_millis(*ms)),
        }
    }
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Healthy), Just(Mode::Empty), Just(Mode::Silent), Just(Mode::Refusing)]
}

fn event() -> impl Strategy<Value = Event> {
    let evidence =
        prop_oneof![Just(Evidence::Connected), Just(Evidence::Refused), Just(Evidence::Slow), Just(Evidence::TimedOut)];
    prop_oneof![
        (0_usize..4, prop_oneof![3 => mode(), 1 => Just(Mode::Open)])
            .prop_map(|(node, mode)| Event::Change(node, mode)),
        (0_usize..4, evidence).prop_map(|(node, evidence)| Event::Evidence(node, evidence)),
        (1_u64..4_000).prop_map(Event::Pass),
    ]
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    proptest::collection::vec(event(), 0..30)
}

proptest! {
    /// Whatever happened before: once settled, leaving samples out is the same as taking them, to the last field, and
    /// so is everything that happens after.
    #[test]
    fn samples_that_are_left_out_are_as_good_as_taken(
        fast: bool,
        before in events(),
        modes in [mode(), mode(), mode(), mode()],
        late in proptest::collection::vec(event(), 0..3),
        gap in 0_u64..900_000,
        after in events(),
    ) {
        let mut taken = World::new(if fast { Behaviour::Fast } else { Behaviour::Aws });
        before.iter().for_each(|event| taken.take(event));
        taken.modes = modes;
        taken.sample_until(taken.now + Duration::from_secs(45));
        // Evidence that comes late leaves some nodes unsettled; those keep their schedule.
        late.iter().filter(|e| matches!(e, Event::Evidence(..))).for_each(|event| taken.take(event));
        taken.sample_until(taken.now + Duration::from_nanos(1));
        let mut skipped = taken.clone();
        let until = taken.now + Duration::from_millis(gap);
        let settled: Vec<bool> = taken.monitor.nodes.iter().map(|w| w.monitor.is_settled()).collect();
        prop_assume!(settled.contains(&true));
        prop_assert_eq!(skipped.monitor.is_settled(), !settled.contains(&false));

        skipped.monitor.skip_to(until);
        let unsettled = |w: &World| {
            w.monitor.nodes.iter().zip(&settled).filter(|(_, s)| !**s).map(|(w, _)| w.monitor.clone()).collect::<Vec<_>>()
        };
        prop_assert_eq!(unsettled(&skipped), unsettled(&taken));
        skipped.sample_until(until);
        taken.sample_until(until);
        prop_assert_eq!(&skipped.monitor, &taken.monitor);
        for event in &after {
            taken.take(event);
            skipped.take(event);
            prop_assert_eq!(skipped.monitor.view(&skipped.snapshot), taken.monitor.view(&taken.snapshot));
            prop_assert_eq!(skipped.monitor.poll_timeout(), taken.monitor.poll_timeout());
        }
    }
}

#[test]
fn what_is_on_its_way_is_not_settled() {
    let mut world = World::new(Behaviour::Fast);
    assert!(!world.monitor.is_settled(), "unknown nodes");
    let passes = |world: &mut World, ms| world.take(&Event::Pass(ms));
    passes(&mut world, 600);
    assert!(world.monitor.is_settled());
    world.take(&Event::Change(0, Mode::Silent));
    passes(&mut world, 500);
    assert!(!world.monitor.is_settled(), "one miss of two");
    passes(&mut world, 500);
    assert!(world.monitor.is_settled(), "down");
    world.take(&Event::Change(0, Mode::Healthy));
    passes(&mut world, 500);
    assert!(!world.monitor.is_settled(), "recovering");
    passes(&mut world, 1_000);
    assert!(world.monitor.is_settled(), "up again");
    world.take(&Event::Change(1, Mode::Open));
    passes(&mut world, 500);
    assert!(!world.monitor.is_settled(), "an open verdict");
    world.take(&Event::Change(1, Mode::Healthy));
    passes(&mut world, 500);
    world.take(&Event::Evidence(2, Evidence::Refused));
    assert!(!world.monitor.is_settled(), "down by evidence alone");
    let due = world.monitor.poll_timeout();
    world.monitor.skip_to(world.now + Duration::from_secs(60));
    assert_eq!(world.monitor.poll_timeout(), due, "the suspect is asked first");
}
