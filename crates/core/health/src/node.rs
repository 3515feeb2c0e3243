use std::time::Duration;

use perigee_model::{Behaviour, EdgeTiming, Instant};
use serde::{Deserialize, Serialize};

use crate::{NodeReport, ProbeFailure};

/// A relapse within this time of a recovery doubles the hold (Perigee's choice).
pub(crate) const RELAPSE_WINDOW: Duration = Duration::from_secs(60);
/// The hold never grows beyond this: fail-back within about 30 s is documented for the original.
pub(crate) const HOLD_MAX: Duration = Duration::from_secs(30);
/// Slow connects in a row, with none done in between, that make a node suspect (Perigee's choice: one may be a lost
/// SYN, two are a pattern).
const SLOW_STRIKES: u8 = 2;
/// A report whose verdict is still open is asked for again this soon (Perigee's choice: first checks take moments).
const OPEN_POLL: Duration = Duration::from_millis(250);

/// Whether a node answers, as far as the front tier knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Not sampled yet.
    Unknown,
    /// Answers.
    Up,
    /// Does not answer.
    Down,
    /// Answers again but is held back until it has done so for a while.
    Recovering,
}

/// What live connects tell about a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// A connect was done.
    Connected,
    /// A connect was refused.
    Refused,
    /// A connect was not done within the stagger although the node is near, and one to another node that began later
    /// was.
    Slow,
    /// A connect was not done within the connect timeout.
    TimedOut,
}

impl Evidence {
    /// Whether it is enough to suspect whom it is about; `slow` counts its slow connects in a row, of which it takes
    /// more than one.
    pub(crate) const fn condemns(self, slow: &mut u8) -> bool {
        match self {
            Self::Connected => {
                *slow = 0;
                false
            }
            Self::Slow => {
                *slow = slow.saturating_add(1);
                *slow >= SLOW_STRIKES
            }
            Self::Refused | Self::TimedOut => true,
        }
    }
}

/// How a node is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodePolicy {
    /// From the start of a sample to the start of the next.
    pub poll: Duration,
    /// Failed samples in a row that make the node unreachable, at least 1.
    pub misses: u8,
    /// How long a node that came back is held, zero for not at all.
    pub hold: Duration,
    /// Whether live connects count as evidence.
    pub passive: bool,
}

impl NodePolicy {
    /// The policy of a behaviour: `aws` neither holds nor listens to live connects.
    pub const fn of(behaviour: Behaviour, timing: &EdgeTiming) -> Self {
        let fast = matches!(behaviour, Behaviour::Fast);
        Self {
            poll: timing.lb_health_poll,
            misses: timing.lb_health_misses,
            hold: if fast { timing.recovery_hold } else { Duration::ZERO },
            passive: fast,
        }
    }
}

/// Watches one load balancer node.
///
/// ```text
///              answer                 `misses` failed samples, or evidence
///   Unknown ------------> Up ---------------------------------------------> Down
///      |                   ^                                                 |  ^
///      |                   | answers for `hold`                       answer |  | failed sample
///      |                   +------------------- Recovering <-----------------+  | or evidence
///      |                                             +--------------------------+
///      +----- `misses` failed samples, or evidence ---------------------------> Down
/// ```
///
/// Evidence asks for a sample at once, and an answer to a sample that began before the evidence is stale and ignored.
/// A node that falls back within a minute of its recovery is held twice as long, up to 30 s, so that a flapping node
/// changes at most once per hold. All of this is Perigee's choice: AWS does not publish how the accelerator learns of
/// a load balancer's health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeMonitor {
    policy: NodePolicy,
    reach: Reach,
    report: Option<NodeReport>,
    failure: Option<ProbeFailure>,
    misses: u8,
    slow: u8,
    next_sample: Instant,
    sampling: bool,
    evidence_at: Option<Instant>,
    recovering_since: Instant,
    /// When it last came back; none for a node that never fell.
    recovered_at: Option<Instant>,
    hold: Duration,
}

impl NodeMonitor {
    /// A node of which nothing is known; the first sample is due at `now`.
    pub const fn new(policy: NodePolicy, now: Instant) -> Self {
        Self {
            policy,
            reach: Reach::Unknown,
            report: None,
            failure: None,
            misses: 0,
            slow: 0,
            next_sample: now,
            sampling: false,
            evidence_at: None,
            recovering_since: now,
            recovered_at: None,
            hold: policy.hold,
        }
    }

    /// Whether the node answers.
    pub const fn reach(&self) -> Reach {
        self.reach
    }

    /// The latest report, also of a node that no longer answers.
    pub const fn report(&self) -> Option<&NodeReport> {
        self.report.as_ref()
    }

    /// Why the last sample failed, none if it did not.
    pub const fn failure(&self) -> Option<ProbeFailure> {
        self.failure
    }

    /// Takes a new policy; what is known stays.
    pub fn set_policy(&mut self, policy: NodePolicy, now: Instant) {
        if self.policy != policy {
            self.hold = policy.hold;
            self.next_sample = self.next_sample.min(now + policy.poll);
            self.policy = policy;
        }
    }

    /// When the next sample is due; none while one is under way.
    pub const fn poll_timeout(&self) -> Option<Instant> {
        if self.sampling { None } else { Some(self.next_sample) }
    }

    /// Whether further samples like the last one would change nothing: the node is up, answered last time and its
    /// report has no open verdict; or it is down and missed as many samples as it takes. No sample is under way.
    ///
    /// Everything else moves on by itself: an unknown node becomes known, a recovering one waits for its hold, a run
    /// of misses grows, a node that is down by evidence alone has not failed a sample yet. A strike of slowness on a
    /// node that is down would be forgotten at the next miss, so it counts as unsettled too.
    pub fn is_settled(&self) -> bool {
        self.is_steady() && !self.sampling
    }

    /// The same, but a sample may be under way.
    pub fn is_steady(&self) -> bool {
        match self.reach {
            Reach::Up => self.misses == 0 && self.report.as_ref().is_some_and(|report| !report.is_open()),
            Reach::Down => self.misses >= self.policy.misses && self.slow == 0,
            Reach::Unknown | Reach::Recovering => false,
        }
    }

    /// Leaves out the samples before `now`: the next one moves by whole polls to the first moment at or after `now`.
    /// Does nothing to a node that is not settled.
    ///
    /// The state afterwards is exactly as if each of them had begun on time and ended before the next one was due, up
    /// with the report there is, down with the failure there is. Call it when no sample is due any more: a node whose
    /// failures take longer than a poll is then always being sampled, and so never settled.
    pub fn skip_to(&mut self, now: Instant) {
        if self.is_settled() {
            let skipped = self.next_sample.advance_to(now, self.policy.poll);
            if self.reach == Reach::Down {
                self.misses = self.misses.saturating_add(u8::try_from(skipped).unwrap_or(u8::MAX));
            }
        }
    }

    /// Whether a sample is to begin at `now`. True once per sample; its result must come back by [`Self::sampled`].
    pub fn poll_sample(&mut self, now: Instant) -> bool {
        let due = !self.sampling && self.next_sample <= now;
        if due {
            self.sampling = true;
            self.next_sample = now + self.policy.poll;
        }
        due
    }

    /// Takes the result of the sample that began at `began`. True when it made reach, report or failure another than
    /// before.
    pub fn sampled(&mut self, result: Result<NodeReport, ProbeFailure>, began: Instant, now: Instant) -> bool {
        let before = (self.reach, self.failure);
        let mut another_report = false;
        self.sampling = false;
        match result {
            Err(failure) => {
                self.failure = Some(failure);
                self.misses = self.misses.saturating_add(1);
                if self.misses >= self.policy.misses || self.reach == Reach::Recovering {
                    self.fall(now);
                }
            }
            Ok(_) if self.evidence_at.is_some_and(|at| began < at) => self.next_sample = now,
            Ok(report) => {
                self.failure = None;
                self.misses = 0;
                if report.is_open() {
                    self.next_sample = self.next_sample.min(now + OPEN_POLL);
                }
                another_report = self.report.as_ref() != Some(&report);
                self.report = Some(report);
                self.answered(now);
            }
        }
        another_report || before != (self.reach, self.failure)
    }

    /// Takes what a live connect showed; ignored by a policy that is not passive.
    pub fn evidence(&mut self, evidence: Evidence, now: Instant) {
        if !self.policy.passive {
            return;
        }
        if evidence.condemns(&mut self.slow) {
            self.suspect(now);
        }
    }

    fn suspect(&mut self, now: Instant) {
        self.evidence_at = Some(now);
        if self.reach != Reach::Down {
            self.next_sample = now;
            self.fall(now);
        }
    }

    fn fall(&mut self, now: Instant) {
        self.slow = 0;
        if self.reach == Reach::Down {
            return;
        }
        let relapse =
            self.reach == Reach::Recovering || self.recovered_at.is_some_and(|at| now.since(at) < RELAPSE_WINDOW);
        self.hold = if relapse { (self.hold * 2).min(HOLD_MAX.max(self.policy.hold)) } else { self.policy.hold };
        self.reach = Reach::Down;
    }

    fn answered(&mut self, now: Instant) {
        match self.reach {
            Reach::Up => {}
            Reach::Unknown => self.reach = Reach::Up,
            Reach::Down => {
                self.reach = Reach::Recovering;
                self.recovering_since = now;
                self.evidence_at = None;
                self.rise_if_held(now);
            }
            Reach::Recovering => self.rise_if_held(now),
        }
    }

    fn rise_if_held(&mut self, now: Instant) {
        if now.since(self.recovering_since) >= self.hold {
            self.reach = Reach::Up;
            self.recovered_at = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: f64) -> Instant {
        Instant::START + Duration::from_secs_f64(seconds)
    }

    fn policy(behaviour: Behaviour) -> NodePolicy {
        NodePolicy::of(behaviour, &EdgeTiming::of(behaviour))
    }

    fn sample(node: &mut NodeMonitor, at: f64, ok: bool) {
        assert!(node.poll_sample(s(at)), "no sample is due at {at}");
        node.sampled(if ok { Ok(NodeReport::default()) } else { Err(ProbeFailure::Timeout) }, s(at), s(at));
    }

    #[test]
    fn in_aws_only_missed_samples_take_a_node_down_and_one_answer_brings_it_back() {
        let mut node = NodeMonitor::new(policy(Behaviour::Aws), s(0.0));
        sample(&mut node, 0.0, true);
        for _ in 0..100 {
            node.evidence(Evidence::Refused, s(1.0));
        }
        assert_eq!(node.reach(), Reach::Up, "live connects are no evidence in aws");
        sample(&mut node, 10.0, false);
        sample(&mut node, 20.0, false);
        assert_eq!(node.reach(), Reach::Up);
        sample(&mut node, 30.0, false);
        assert_eq!(node.reach(), Reach::Down);
        sample(&mut node, 40.0, true);
        assert_eq!(node.reach(), Reach::Up);
    }

    #[test]
    fn in_fast_one_refused_connect_is_enough_and_asks_for_a_sample_at_once() {
        let mut node = NodeMonitor::new(policy(Behaviour::Fast), s(0.0));
        sample(&mut node, 0.0, true);
        node.evidence(Evidence::Refused, s(0.1));
        assert_eq!(node.reach(), Reach::Down);
        assert_eq!(node.poll_timeout(), Some(s(0.1)));
    }

    #[test]
    fn a_report_of_first_checks_is_asked_for_again_soon() {
        let mut node = NodeMonitor::new(policy(Behaviour::Aws), s(0.0));
        assert!(node.poll_sample(s(0.0)));
        let group = crate::GroupReport { name: "web".into(), healthy: 0, initial: 2, registered: 2, passes_dns: false };
        node.sampled(Ok(NodeReport { target_groups: vec![group] }), s(0.0), s(0.0));
        assert_eq!(node.poll_timeout(), Some(s(0.25)));
    }

    #[test]
    fn one_slow_connect_may_be_chance_and_two_in_a_row_are_not() {
        let mut node = NodeMonitor::new(policy(Behaviour::Fast), s(0.0));
        sample(&mut node, 0.0, true);
        node.evidence(Evidence::Slow, s(0.1));
        node.evidence(Evidence::Connected, s(0.2));
        node.evidence(Evidence::Slow, s(0.3));
        assert_eq!(node.reach(), Reach::Up);
        node.evidence(Evidence::Slow, s(0.4));
        assert_eq!(node.reach(), Reach::Down);
    }

    #[test]
    fn an_answer_that_began_before_the_evidence_is_stale() {
        let mut node = NodeMonitor::new(policy(Behaviour::Fast), s(0.0));
        sample(&mut node, 0.0, true);
        assert!(node.poll_sample(s(0.5)));
        node.evidence(Evidence::Refused, s(0.6));
        node.sampled(Ok(NodeReport::default()), s(0.5), s(0.7));
        assert_eq!(node.reach(), Reach::Down);
        assert_eq!(node.poll_timeout(), Some(s(0.7)), "and it asks again");
    }

    #[test]
    fn a_node_that_comes_back_is_held_and_a_relapse_doubles_the_hold_up_to_thirty_seconds() {
        let mut node = NodeMonitor::new(policy(Behaviour::Fast), s(0.0));
        sample(&mut node, 0.0, true);
        let mut now = 0.5;
        let mut holds = Vec::new();
        for _ in 0..8 {
            node.evidence(Evidence::Refused, s(now));
            let back = now + 0.5;
            let mut at = back;
            while node.reach() != Reach::Up {
                sample(&mut node, at, true);
                at += 0.5;
            }
            holds.push(at - 0.5 - back);
            now = at;
        }
        assert_eq!(holds, [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]);
    }

    #[test]
    fn a_failed_sample_while_recovering_sends_the_node_back_down() {
        let mut node = NodeMonitor::new(policy(Behaviour::Fast), s(0.0));
        sample(&mut node, 0.0, true);
        node.evidence(Evidence::TimedOut, s(0.1));
        sample(&mut node, 0.1, true);
        assert_eq!(node.reach(), Reach::Recovering);
        sample(&mut node, 0.6, false);
        assert_eq!(node.reach(), Reach::Down);
    }
}
