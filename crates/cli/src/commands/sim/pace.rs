use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use serde::Serialize;

/// Measures how fast runs go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    began: Instant,
    /// Processor time of the process at the beginning.
    used: Duration,
}

/// How fast they went.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Speed {
    /// Real seconds.
    pub(super) elapsed_s: f64,
    /// Processor seconds of all cores.
    pub(super) cpu_s: f64,
    /// Events handled.
    pub(super) events: u64,
    /// The same by real seconds.
    pub(super) events_per_s: f64,
    /// The same by processor seconds.
    pub(super) events_per_core_s: f64,
    /// The most memory the process has held since its start; none where the system does not tell.
    pub(super) peak_rss_bytes: Option<u64>,
}

impl Pace {
    /// From now on.
    pub(super) fn start() -> Self {
        Self { began: Instant::now(), used: cpu_time() }
    }

    /// Until now.
    pub(super) fn end(self, events: u64) -> Speed {
        let elapsed_s = self.began.elapsed().as_secs_f64();
        let cpu_s = cpu_time().saturating_sub(self.used).as_secs_f64();
        // A run shorter than the clock's tick has no speed.
        let per = |seconds: f64| if seconds > 0.0 { events as f64 / seconds } else { 0.0 };
        Speed {
            elapsed_s,
            cpu_s,
            events,
            events_per_s: per(elapsed_s),
            events_per_core_s: per(cpu_s),
            peak_rss_bytes: peak_rss_bytes(),
        }
    }
}

impl std::fmt::Display for Speed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (all, core) = (count(self.events_per_s), count(self.events_per_core_s));
        write!(f, "{:.2} s, {} events: {all} a second, {core} a core-second", self.elapsed_s, self.events)?;
        match self.peak_rss_bytes {
            Some(bytes) => write!(f, ", at most {} MB", bytes / 1_000_000),
            None => Ok(()),
        }
    }
}

/// A great number for people: `4.1 million`.
pub(super) fn count(number: f64) -> String {
    match number {
        n if n >= 1e6 => format!("{:.1} million", n / 1e6),
        n if n >= 1e4 => format!("{:.0} thousand", n / 1e3),
        n => format!("{n:.0}"),
    }
}

fn cpu_time() -> Duration {
    let time = |t: nix::sys::time::TimeVal| {
        let micros = t.tv_sec().saturating_mul(1_000_000).saturating_add(t.tv_usec());
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    };
    getrusage(UsageWho::RUSAGE_SELF).map_or(Duration::ZERO, |u| time(u.user_time()) + time(u.system_time()))
}

/// `VmHWM` of proc(5).
fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_is_events_by_the_time_they_took() {
        let work: u64 = (0..20_000_000_u64).fold(0, |sum, n| std::hint::black_box(sum ^ n));
        let pace = Pace { began: Instant::now() - Duration::from_secs(2), used: Duration::ZERO };
        let speed = pace.end(1_000 + work % 2);
        assert!(speed.elapsed_s >= 2.0 && speed.events_per_s <= 501.0, "{speed:?}");
        assert!(speed.cpu_s > 0.0 && (speed.events_per_core_s * speed.cpu_s - 1_000.0).abs() < 2.0, "{speed:?}");
        assert!(!cfg!(target_os = "linux") || speed.peak_rss_bytes.is_some_and(|b| b > 1_000_000), "{speed:?}");
    }

    #[test]
    fn great_numbers_are_short() {
        assert_eq!([count(999.4), count(12_345.0), count(4_080_000.0)], ["999", "12 thousand", "4.1 million"]);
    }
}
