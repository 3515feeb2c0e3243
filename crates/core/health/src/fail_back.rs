use std::time::Duration;

use perigee_model::{Behaviour, Instant};

/// How long a group of probed endpoints that has come back is passed over in `aws` (`global-accelerator.md` section 9;
/// Global Accelerator developer guide, "Failover for unhealthy endpoints": about 30 s).
const FAIL_BACK_DELAY: Duration = Duration::from_secs(30);

/// What a group has to offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// No eligible endpoint.
    Nothing,
    /// Eligible endpoints, none of them a load balancer.
    Probed,
    /// A load balancer that is eligible, which needs no hold.
    LoadBalancer,
}

/// Holds a group back that had no eligible endpoint and has one again.
///
/// In `aws` for 30 s if probes say so and not at all if a load balancer is back; in `fast` never, because there each
/// endpoint is held for itself. A group that never had an eligible endpoint is not held: it does not come back, it
/// begins (Perigee's choice).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FailBack {
    delay: Duration,
    /// Whether it had something to offer before.
    began: bool,
    offered: bool,
    until: Option<Instant>,
}

impl FailBack {
    pub(crate) const fn new(behaviour: Behaviour) -> Self {
        Self { delay: delay(behaviour), began: false, offered: false, until: None }
    }

    /// Takes another behaviour; a hold under way ends as it began.
    pub(crate) const fn set_behaviour(&mut self, behaviour: Behaviour) {
        self.delay = delay(behaviour);
    }

    /// When the hold ends; none without one.
    pub(crate) const fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Takes what the group offers at `now`. True while it is held.
    pub(crate) fn observe(&mut self, offer: Offer, now: Instant) -> bool {
        match offer {
            Offer::Nothing => self.until = None,
            Offer::LoadBalancer => self.until = None,
            Offer::Probed if !self.offered && self.began && !self.delay.is_zero() => {
                self.until = Some(now + self.delay)
            }
            Offer::Probed => self.until = self.until.filter(|until| *until > now),
        }
        self.offered = offer != Offer::Nothing;
        self.began |= self.offered;
        self.until.is_some()
    }
}

const fn delay(behaviour: Behaviour) -> Duration {
    match behaviour {
        Behaviour::Aws => FAIL_BACK_DELAY,
        Behaviour::Fast => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(s: u64) -> Instant {
        Instant::START + Duration::from_secs(s)
    }

    #[test]
    fn in_aws_a_group_that_comes_back_by_probes_is_held_for_thirty_seconds() {
        let mut group = FailBack::new(Behaviour::Aws);
        assert!(!group.observe(Offer::Probed, s(0)), "it begins");
        assert!(!group.observe(Offer::Nothing, s(10)));
        assert!(group.observe(Offer::Probed, s(20)));
        assert_eq!(group.until(), Some(s(50)));
        assert!(group.observe(Offer::Probed, s(49)));
        assert!(!group.observe(Offer::Probed, s(50)));
        assert!(!group.observe(Offer::Nothing, s(60)));
        assert!(group.observe(Offer::Probed, s(61)));
        assert!(!group.observe(Offer::LoadBalancer, s(62)), "a load balancer is not held");
    }

    #[test]
    fn in_fast_no_group_is_held() {
        let mut group = FailBack::new(Behaviour::Fast);
        for (i, offer) in [Offer::Probed, Offer::Nothing, Offer::Probed].into_iter().enumerate() {
            assert!(!group.observe(offer, s(i as u64)));
        }
    }
}
