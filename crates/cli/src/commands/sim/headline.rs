use perigee_sim::Outcome;

use super::live::short;
use super::verdict::Spread;

/// The figures of a run that tables of many runs show: name, unit, value.
pub(super) fn headline(outcome: &Outcome) -> Vec<(&'static str, f64)> {
    let (totals, cost) = (&outcome.totals, &outcome.cost);
    vec![
        ("requests", totals.requests as f64),
        ("lost", cost.requests_lost as f64),
        ("lost %", cost.lost_percent),
        ("bad min", cost.bad_minutes),
        ("overload min", cost.overload_minutes),
        ("p50 ms", totals.latency.p50_ms),
        ("p99 ms", totals.latency.p99_ms),
        ("bounds broken", outcome.bounds.iter().filter(|b| !b.holds).count() as f64),
    ]
}

/// Each figure over several runs, which all have the same figures.
pub(super) fn spreads(runs: &[Vec<(&'static str, f64)>]) -> Vec<(&'static str, Spread)> {
    let names = runs.first().into_iter().flatten().map(|(name, _)| *name);
    let values = |i: usize| runs.iter().filter_map(|run| Some(run.get(i)?.1)).collect();
    names.enumerate().filter_map(|(i, name)| Some((name, Spread::of(values(i))?))).collect()
}

/// `12 (3..40)`, or `12` where every run has the same.
pub(super) fn cell(spread: &Spread) -> String {
    if spread.min == spread.max {
        short(spread.median)
    } else {
        format!("{} ({}..{})", short(spread.median), short(spread.min), short(spread.max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_runs_tells_median_and_range() {
        let runs: Vec<_> = [1.0, 5.0, 2.0].map(|lost| vec![("requests", 7.0), ("lost", lost)]).to_vec();
        let cells: Vec<String> = spreads(&runs).iter().map(|(name, s)| format!("{name} {}", cell(s))).collect();
        assert_eq!(cells, ["requests 7", "lost 2 (1..5)"]);
    }

    #[test]
    fn broken_bounds_are_a_figure_of_a_run() {
        let bound = perigee_sim::JudgedBound { holds: false, ..Default::default() };
        let outcome = Outcome { bounds: vec![bound.clone(), bound], ..Outcome::default() };
        assert!(headline(&outcome).contains(&("bounds broken", 2.0)));
    }
}
