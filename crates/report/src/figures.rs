use perigee_sim::{Anatomy, Outcome};

use crate::number;

/// What a figure counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// Minutes.
    Minutes,
    /// Per cent.
    Percent,
}

impl Unit {
    /// The value in words, with the unit.
    pub fn say(self, value: f64) -> String {
        match self {
            Self::Count => number::decimal(value, 0),
            Self::Milliseconds => number::milliseconds(value),
            Self::Seconds => number::seconds(value),
            Self::Minutes => format!("{} min", number::decimal(value, 1)),
            Self::Percent => number::percent(value),
        }
    }
}

/// Which way a figure is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// The smaller, the better.
    Less,
    /// The greater, the better.
    More,
    /// It has no better.
    Neither,
}

/// One headline figure of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What it is; the same figure of two runs has the same name.
    pub name: String,
    /// Its value; none where it did not come to that.
    pub value: Option<f64>,
    /// Its unit.
    pub unit: Unit,
    /// Which way it is better.
    pub better: Better,
}

impl Figure {
    fn new(name: impl Into<String>, value: Option<f64>, unit: Unit, better: Better) -> Self {
        Self { name: name.into(), value, unit, better }
    }

    /// The value in words, a dash where there is none.
    pub fn say(&self) -> String {
        self.value.map_or_else(|| "-".into(), |value| self.unit.say(value))
    }
}

/// The headline figures of a run, in the order in which they are shown: totals, latencies, cost, then the spans of
/// each anatomy under its event's name.
pub fn figures(outcome: &Outcome) -> Vec<Figure> {
    let (totals, cost, latency) = (&outcome.totals, &outcome.cost, &outcome.totals.latency);
    let n = |value: u64| Some(value as f64);
    let ms = |value: f64| (latency.count > 0).then_some(value);
    let mut all = vec![
        Figure::new("requests", n(totals.requests), Unit::Count, Better::Neither),
        Figure::new("answered well", n(totals.ok), Unit::Count, Better::More),
        Figure::new("requests lost", n(cost.requests_lost), Unit::Count, Better::Less),
        Figure::new("lost", Some(cost.lost_percent), Unit::Percent, Better::Less),
    ];
    for (kind, failed) in &totals.failed {
        all.push(Figure::new(format!("failed: {}", kind_in_words(kind)), n(*failed), Unit::Count, Better::Less));
    }
    for (name, value) in [
        ("latency, mean", latency.mean_ms),
        ("latency, p50", latency.p50_ms),
        ("latency, p90", latency.p90_ms),
        ("latency, p99", latency.p99_ms),
        ("latency, p99.9", latency.p999_ms),
        ("latency, greatest", latency.max_ms),
    ] {
        all.push(Figure::new(name, ms(value), Unit::Milliseconds, Better::Less));
    }
    all.push(Figure::new("bad minutes", Some(cost.bad_minutes), Unit::Minutes, Better::Less));
    all.push(Figure::new("overload minutes", Some(cost.overload_minutes), Unit::Minutes, Better::Less));
    for anatomy in &outcome.anatomies {
        all.extend(spans(anatomy).into_iter().map(|f| Figure { name: format!("{}: {}", anatomy.event, f.name), ..f }));
    }
    all
}

/// The spans of one failover, in the order in which they are shown.
pub(crate) fn spans(anatomy: &Anatomy) -> Vec<Figure> {
    let span = |name: &str, value: Option<f64>| Figure::new(name, value, Unit::Seconds, Better::Less);
    vec![
        span("first edge knew", anatomy.first_detected_s),
        span("all edges knew", anatomy.all_detected_s),
        span("DNS knew", anatomy.dns_detected_s),
        span("last new flow", anatomy.last_flow_s),
        span("tail of the DNS caches", anatomy.dns_tail_s),
        span("last failure", anatomy.last_failure_s),
        Figure::new("requests lost", Some(anatomy.requests_lost as f64), Unit::Count, Better::Less),
        Figure { better: Better::Neither, ..span("mended after", anatomy.mended_s) },
        span("trusted again, after mending", anatomy.trusted_again_s),
        span("first flow back, after mending", anatomy.first_flow_back_s),
    ]
}

/// A kind of failure as people say it.
pub(crate) fn kind_in_words(kind: &str) -> String {
    match kind {
        "new_connection" => "no connection".into(),
        "in_flight" => "cut in flight".into(),
        "status" => "error status".into(),
        "resolve" => "no answer of DNS".into(),
        "timeout" => "timed out".into(),
        other => other.replace('_', " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn what_was_not_measured_has_no_figure() {
        let figures = figures(&Outcome::default());
        let p99 = figures.iter().find(|f| f.name == "latency, p99").unwrap();
        assert_eq!((p99.value, p99.say()), (None, "-".to_owned()));
    }

    #[test]
    fn every_failover_has_figures_of_its_own() {
        let figures = figures(&sample::outcome());
        let tail = figures.iter().find(|f| f.name == "tokyo-dies: tail of the DNS caches").unwrap();
        assert_eq!(tail.say(), "64.0 s");
    }
}
