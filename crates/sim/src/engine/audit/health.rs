use perigee_health::ProbeFailure;

/// What counting says of one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    New,
    Well,
    Ill,
}

#[derive(Clone, Copy, Debug)]
struct Counted {
    verdict: Verdict,
    passes: u32,
    failures: u32,
}

const NEW: Counted = Counted { verdict: Verdict::New, passes: 0, failures: 0 };

/// The health of one node's targets by counting the results of its checks, beside and without the node's own machine.
///
/// The rules are read from the ALB guide anew ("Health checks for your target groups"): a new target is healthy after
/// one success; a healthy or new one is unhealthy after so many failures in a row, an unhealthy one healthy after so many
/// successes in a row.
#[derive(Clone, Debug)]
pub(crate) struct Reference {
    /// Successes in a row that make an unhealthy target healthy.
    pub(crate) healthy_threshold: u32,
    /// Failures in a row that make a target unhealthy.
    pub(crate) unhealthy_threshold: u32,
    /// So many healthy targets are needed, or health counts for nothing.
    pub(crate) least: usize,
    targets: Vec<Counted>,
}

impl Reference {
    /// So many targets that have passed their first check.
    pub(crate) fn new(healthy_threshold: u8, unhealthy_threshold: u8, least: u16, targets: usize) -> Self {
        let well = Counted { verdict: Verdict::Well, passes: 1, failures: 0 };
        Self {
            healthy_threshold: healthy_threshold.into(),
            unhealthy_threshold: unhealthy_threshold.into(),
            least: least.into(),
            targets: vec![well; targets],
        }
    }

    /// A check of the target with this number ended so. A target of the fuzzer's worlds is well with a status of 200.
    /// True when it made the target unhealthy.
    pub(crate) fn checked(&mut self, target: usize, result: Result<Option<u16>, ProbeFailure>) -> bool {
        let (healthy, unhealthy) = (self.healthy_threshold, self.unhealthy_threshold);
        let counted = &mut self.targets[target];
        if matches!(result, Ok(None | Some(200))) {
            (counted.passes, counted.failures) = (counted.passes.saturating_add(1), 0);
        } else {
            (counted.passes, counted.failures) = (0, counted.failures.saturating_add(1));
        }
        let before = counted.verdict;
        counted.verdict = match counted.verdict {
            Verdict::New if counted.passes > 0 => Verdict::Well,
            Verdict::Ill if counted.passes >= healthy => Verdict::Well,
            Verdict::New | Verdict::Well if counted.failures >= unhealthy => Verdict::Ill,
            same => same,
        };
        before != Verdict::Ill && counted.verdict == Verdict::Ill
    }

    /// The node was started again and knows nothing.
    pub(crate) fn restarted(&mut self) {
        self.targets.fill(NEW);
    }

    /// How many are healthy, of how many.
    pub(crate) fn healthy(&self) -> (usize, usize) {
        (self.targets.iter().filter(|t| t.verdict == Verdict::Well).count(), self.targets.len())
    }

    /// Whether a request may go to this target: a healthy one, or any if too few are. Errors: why not.
    pub(crate) fn may_serve(&self, target: usize, fail_open: bool) -> Result<(), String> {
        let (healthy, of) = self.healthy();
        let counted = self.targets[target];
        let state = format!(
            "by the results of its checks it is {}: {} successes and {} failures in a row; {healthy} of {of} targets \
             are healthy",
            match counted.verdict {
                Verdict::New => "not judged yet",
                Verdict::Well => "healthy",
                Verdict::Ill => "unhealthy",
            },
            counted.passes,
            counted.failures
        );
        match (fail_open, healthy < self.least) {
            (true, false) => Err(format!("it was chosen without regard to health, but {state}")),
            (false, true) => Err(format!("it was chosen for its health, but {state}")),
            (false, false) if counted.verdict != Verdict::Well => Err(state),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASS: Result<Option<u16>, ProbeFailure> = Ok(Some(200));
    const FAIL: Result<Option<u16>, ProbeFailure> = Err(ProbeFailure::Timeout);

    #[test]
    fn a_request_to_a_target_that_failed_its_checks_is_caught() {
        let mut known = Reference::new(2, 2, 1, 2);
        known.checked(0, FAIL);
        assert_eq!(known.may_serve(0, false), Ok(()), "one failure is not enough");
        known.checked(0, Ok(Some(500)));
        assert!(known.may_serve(0, false).unwrap_err().contains("unhealthy: 0 successes and 2 failures"));
        assert!(known.may_serve(0, true).is_err(), "the other target is healthy");
        assert_eq!(known.may_serve(1, false), Ok(()));
        known.checked(0, PASS);
        assert!(known.may_serve(0, false).is_err(), "one success is not enough");
        known.checked(0, PASS);
        assert_eq!(known.may_serve(0, false), Ok(()));
    }

    #[test]
    fn with_too_few_healthy_targets_health_counts_for_nothing() {
        let mut known = Reference::new(2, 2, 1, 2);
        known.restarted();
        assert_eq!(known.may_serve(1, true), Ok(()));
        assert!(known.may_serve(1, false).is_err());
        known.checked(1, PASS);
        assert_eq!(known.may_serve(1, false), Ok(()), "one success makes a new target healthy");
        assert!(known.may_serve(0, false).is_err());
    }
}
