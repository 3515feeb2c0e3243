use perigee_steering::RouteReason;

/// Groups that are looked at before failing open (Global Accelerator developer guide, "Failover for unhealthy
/// endpoints").
const CLOSE: usize = 3;

/// A flow beyond chance: 5.5 deviations come once in some ten million draws.
const DEVIATIONS: f64 = 5.5;

/// What a decision about a flow was made on. In the fuzzer's worlds each region has one load balancer and one endpoint
/// group, so one number stands for all three.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grounds<'a> {
    /// The regions, closest to the edge first.
    pub(crate) order: &'a [usize],
    /// The dials by region, percent.
    pub(crate) dials: &'a [f64],
    /// By region: whether its load balancer is healthy to the edge.
    pub(crate) healthy: &'a [bool],
}

/// Whether a flow may go to `chosen` for `reason`. Errors: why not.
///
/// The accelerator's law said backwards, from the outcome to what must have been so; it draws nothing.
pub(crate) fn judge(grounds: &Grounds<'_>, chosen: usize, reason: RouteReason) -> Result<(), String> {
    let Grounds { order, dials, healthy } = grounds;
    let Some(rank) = order.iter().position(|r| *r == chosen) else {
        return Err("it is no region of the stack".to_owned());
    };
    let close = &order[..order.len().min(CLOSE)];
    let all_off = order.iter().all(|r| dials[*r] <= 0.0);
    if !healthy[chosen] {
        if let Some(well) = close.iter().find(|r| healthy[**r]) {
            return Err(format!("it is unhealthy and the close region {well} is not"));
        }
        let is_it = reason == RouteReason::FailOpen && rank == 0;
        return if is_it {
            Ok(())
        } else {
            Err(format!("failing open leads to the closest region, not by {reason:?}"))
        };
    }
    let wrong = |what: &str| Err(format!("{what} ({reason:?})"));
    match reason {
        RouteReason::Closest if rank != 0 => wrong("it is not the closest"),
        RouteReason::Closest | RouteReason::Dial if dials[chosen] <= 0.0 => wrong("its dial is 0"),
        RouteReason::Dial if rank == 0 => wrong("it is the closest"),
        RouteReason::Dial if order[..rank].iter().any(|r| dials[*r] >= 100.0) => wrong("a closer dial is 100"),
        RouteReason::Failover => {
            if close.iter().find(|r| healthy[**r]) != Some(&chosen) {
                return wrong("it is not the closest healthy region");
            }
            // Somebody else must have been meant: a region that is unhealthy and takes part, or nobody at all.
            let meant = order.iter().any(|r| *r != chosen && !healthy[*r] && dials[*r] > 0.0);
            if meant || all_off { Ok(()) } else { wrong("no region that is dialled up is unhealthy") }
        }
        RouteReason::FailOpen => wrong("it is healthy"),
        RouteReason::NoEndpoint | RouteReason::NoIpv6Endpoint => wrong("it is an endpoint"),
        RouteReason::Closest | RouteReason::Dial => Ok(()),
    }
}

/// The share of flows that each region gets while all are healthy, by region: each takes its dial's share of what comes
/// to it, the last with a dial above 0 all of it; if all dials are 0 the closest region takes all.
pub(crate) fn shares(order: &[usize], dials: &[f64]) -> Vec<f64> {
    let mut shares = vec![0.0; dials.len()];
    let Some(last) = order.iter().rev().find(|r| dials[**r] > 0.0) else {
        shares[order[0]] = 1.0;
        return shares;
    };
    let mut rest = 1.0;
    for region in order {
        shares[*region] = if region == last { rest } else { rest * dials[*region] / 100.0 };
        rest -= shares[*region];
    }
    shares
}

/// Whether `got` of `flows` may be chance if the share is `share`. Errors: what was expected.
pub(crate) fn is_chance(got: u64, flows: u64, share: f64) -> Result<(), String> {
    let share = share.clamp(0.0, 1.0);
    let expected = flows as f64 * share;
    let tolerance = DEVIATIONS * (expected * (1.0 - share)).sqrt() + 1.0;
    if (got as f64 - expected).abs() <= tolerance {
        Ok(())
    } else {
        Err(format!("{got} of {flows} flows, expected {expected:.1} +- {tolerance:.1}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(dials: &[f64], healthy: &[bool], chosen: usize, reason: RouteReason) -> bool {
        let order: Vec<usize> = (0..dials.len()).collect();
        judge(&Grounds { order: &order, dials, healthy }, chosen, reason).is_ok()
    }

    #[test]
    fn a_flow_to_a_dead_region_beside_a_healthy_one_is_caught() {
        let full = [100.0; 4];
        assert!(!judged(&full, &[false, true, true, true], 0, RouteReason::Closest));
        assert!(!judged(&full, &[false, false, true, true], 0, RouteReason::FailOpen));
        assert!(judged(&full, &[false, false, false, true], 0, RouteReason::FailOpen), "the fourth is too far");
        assert!(!judged(&full, &[false, false, false, true], 1, RouteReason::FailOpen));
        assert!(judged(&full, &[false, true, true, true], 1, RouteReason::Failover));
        assert!(!judged(&full, &[false, true, true, true], 2, RouteReason::Failover));
    }

    #[test]
    fn a_flow_past_a_full_dial_or_into_a_closed_one_is_caught() {
        let well = [true; 3];
        assert!(!judged(&[100.0, 100.0, 100.0], &well, 1, RouteReason::Dial));
        assert!(!judged(&[50.0, 0.0, 100.0], &well, 1, RouteReason::Dial));
        assert!(judged(&[50.0, 0.0, 100.0], &well, 2, RouteReason::Dial));
        assert!(!judged(&[0.0, 100.0, 100.0], &well, 0, RouteReason::Closest));
        assert!(!judged(&[100.0, 100.0, 100.0], &well, 0, RouteReason::Failover));
        assert!(judged(&[0.0, 0.0, 0.0], &well, 0, RouteReason::Failover));
    }

    #[test]
    fn the_shares_follow_the_dials_and_a_moved_dial_shows() {
        assert_eq!(shares(&[1, 0, 2], &[50.0, 20.0, 100.0]), [0.4, 0.2, 0.4]);
        assert_eq!(shares(&[0, 1], &[30.0, 0.0]), [1.0, 0.0]);
        assert_eq!(shares(&[0, 1], &[0.0, 0.0]), [1.0, 0.0]);
        assert!(is_chance(200, 1_000, 0.2).is_ok());
        assert!(is_chance(300, 1_000, 0.2).is_err());
        assert!(is_chance(2, 1_000, 0.0).is_err());
    }
}
