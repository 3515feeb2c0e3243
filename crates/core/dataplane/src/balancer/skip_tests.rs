use std::sync::Arc;
use std::time::Duration;

use perigee_health::ProbeFailure;
use perigee_model::{Instant, LoadBalancerIndex, fixtures};
use perigee_rules::RequestHead;
use proptest::prelude::*;

use super::Balancer;

const HEAD: RequestHead<'_> = RequestHead { host: None, path: "/" };

/// One node with two targets, and what these answer; none is silence.
struct World {
    balancer: Balancer,
    answers: [Option<u16>; 2],
    now: Instant,
}

impl World {
    fn new() -> Self {
        let balancer = Balancer::new(Arc::new(fixtures::snapshot(&["a"])), LoadBalancerIndex(0), 0, Instant::START);
        Self { balancer, answers: [Some(200); 2], now: Instant::START }
    }

    /// Makes every probe that is due before `until`, each answered at once.
    fn probe_until(&mut self, until: Instant) {
        while let Some(due) = self.balancer.poll_timeout().filter(|due| *due < until) {
            self.now = due.max(self.now);
            while let Some(probe) = self.balancer.poll_probe(self.now) {
                let answer = self.answers[probe.id.0 as usize].ok_or(ProbeFailure::Timeout);
                self.balancer.probed(probe.id, answer.map(Some));
            }
        }
        self.now = until;
    }

    fn pass(&mut self, (answers, ms): ([Option<u16>; 2], u64)) {
        self.answers = answers;
        self.probe_until(self.now + Duration::from_millis(ms));
    }

    /// Everything that can be seen of it.
    fn looks(&mut self) -> String {
        let outputs: Vec<_> = std::iter::from_fn(|| self.balancer.poll_output()).collect();
        let (targets, report) = (self.balancer.targets(), self.balancer.report());
        let next = self.balancer.explain(8080, &HEAD).chosen;
        format!("{targets:?} {report:?} {next:?} {outputs:?} {:?}", self.balancer.poll_timeout())
    }
}

fn answers() -> impl Strategy<Value = [Option<u16>; 2]> {
    let answer = || prop_oneof![Just(Some(200)), Just(Some(500)), Just(None)];
    [answer(), answer()]
}

fn history() -> impl Strategy<Value = Vec<([Option<u16>; 2], u64)>> {
    proptest::collection::vec((answers(), 1_u64..12_000), 0..12)
}

proptest! {
    #[test]
    fn probes_that_are_left_out_are_as_good_as_made(
        before in history(),
        last in answers(),
        gap in 0_u64..900_000,
        after in history(),
    ) {
        let [mut made, mut skipped] = [World::new(), World::new()];
        for world in [&mut made, &mut skipped] {
            before.iter().for_each(|step| world.pass(*step));
            world.pass((last, 15_000));
            world.looks();
        }
        prop_assert!(made.balancer.is_settled());
        let until = made.now + Duration::from_millis(gap);
        made.probe_until(until);
        skipped.balancer.skip_to(until);
        skipped.now = until;
        prop_assert_eq!(made.looks(), skipped.looks());
        for step in after {
            made.pass(step);
            skipped.pass(step);
            prop_assert_eq!(made.looks(), skipped.looks());
        }
    }
}

#[test]
fn what_is_on_its_way_is_not_settled() {
    let mut world = World::new();
    assert!(!world.balancer.is_settled(), "initial targets");
    world.pass(([Some(200); 2], 5_000));
    assert!(world.balancer.is_settled());
    world.pass(([Some(200), None], 5_000));
    assert!(!world.balancer.is_settled(), "one failure of two");
    world.pass(([Some(200), None], 5_000));
    assert!(world.balancer.is_settled(), "unhealthy");
    let probe = world.balancer.poll_probe(world.now).expect("a probe is due");
    assert!(!world.balancer.is_settled(), "a probe is under way");
    world.balancer.probed(probe.id, Ok(Some(200)));
    let mut left = fixtures::snapshot(&["a"]);
    left.target_groups[0].targets.pop();
    world.balancer.set_snapshot(Arc::new(left), LoadBalancerIndex(0), 0, world.now);
    assert!(!world.balancer.is_settled(), "a target drains");
}
