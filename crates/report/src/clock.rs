use perigee_sim::Outcome;

const DAY_S: i64 = 86_400;

/// Distances of ticks that people count in, seconds.
const STEPS_S: [f64; 18] = [
    1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 10_800.0, 21_600.0,
    43_200.0, 86_400.0,
];

/// The clock on the scenario's wall.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Clock {
    begins_s: f64,
    offset_s: i32,
}

impl Clock {
    pub(crate) fn of(outcome: &Outcome) -> Self {
        Self { begins_s: outcome.begins_utc_s + f64::from(outcome.utc_offset_s), offset_s: outcome.utc_offset_s }
    }

    /// `09:00:05`, and `09:00:05 (day 2)` from the second day on.
    pub(crate) fn time(&self, at_s: f64) -> String {
        let (day, h, m, s) = self.parts(at_s);
        let time = format!("{h:02}:{m:02}:{s:02}");
        if day == 0 { time } else { format!("{time} (day {})", day + 1) }
    }

    /// `09:00`, the label of a tick; with seconds where ticks are closer than a minute.
    pub(crate) fn tick(&self, at_s: f64, step_s: f64) -> String {
        let (_, h, m, s) = self.parts(at_s);
        if step_s < 60.0 { format!("{h:02}:{m:02}:{s:02}") } else { format!("{h:02}:{m:02}") }
    }

    /// Round times of day between two moments, at most `most` (at least 2) of them, and their distance.
    pub(crate) fn ticks(&self, from_s: f64, to_s: f64, most: usize) -> (Vec<f64>, f64) {
        let fits = |step: &f64| (to_s - from_s) / step < most as f64;
        let days = ((to_s - from_s) / DAY_S as f64 / most as f64).ceil().max(1.0) * DAY_S as f64;
        let step = STEPS_S.into_iter().find(fits).unwrap_or(days);
        let first = ((self.begins_s + from_s) / step).ceil();
        let ticks = (0..=most).map(|i| (first + i as f64) * step - self.begins_s).take_while(|at| *at <= to_s);
        (ticks.collect(), step)
    }

    /// `UTC+9`, `UTC`, `UTC+5:30`.
    pub(crate) fn zone(&self) -> String {
        let (sign, size) = if self.offset_s < 0 { ('-', -self.offset_s) } else { ('+', self.offset_s) };
        match (size / 3_600, size % 3_600 / 60) {
            (0, 0) => "UTC".into(),
            (h, 0) => format!("UTC{sign}{h}"),
            (h, m) => format!("UTC{sign}{h}:{m:02}"),
        }
    }

    fn parts(&self, at_s: f64) -> (i64, i64, i64, i64) {
        let whole = (self.begins_s + at_s + 1e-6).floor() as i64;
        let first_day = (self.begins_s.floor() as i64).div_euclid(DAY_S);
        let of_day = whole.rem_euclid(DAY_S);
        (whole.div_euclid(DAY_S) - first_day, of_day / 3_600, of_day % 3_600 / 60, of_day % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokyo() -> Clock {
        Clock::of(&Outcome { begins_utc_s: 54_000.0, utc_offset_s: 32_400, ..Outcome::default() })
    }

    #[test]
    fn the_clock_shows_the_time_of_the_scenarios_place() {
        assert_eq!(tokyo().time(32_405.0), "09:00:05");
        assert_eq!(tokyo().time(90_000.0), "01:00:00 (day 2)");
        assert_eq!(tokyo().zone(), "UTC+9");
        assert_eq!(Clock { begins_s: 0.0, offset_s: -12_600 }.zone(), "UTC-3:30");
    }

    #[test]
    fn ticks_stand_at_round_times_of_day() {
        let clock = Clock { begins_s: 1_234.0, offset_s: 0 };
        let (ticks, step) = clock.ticks(0.0, 86_400.0, 10);
        assert_eq!(step, 10_800.0);
        let labels: Vec<String> = ticks.iter().map(|t| clock.tick(*t, step)).collect();
        assert_eq!(labels, ["03:00", "06:00", "09:00", "12:00", "15:00", "18:00", "21:00", "00:00"]);
        let (ticks, step) = tokyo().ticks(32_390.0, 32_450.0, 8);
        assert_eq!((ticks.first().copied(), step), (Some(32_390.0), 10.0));
        assert_eq!(tokyo().tick(32_390.0, step), "08:59:50");
    }
}
