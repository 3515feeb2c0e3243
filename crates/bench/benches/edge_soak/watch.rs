//! Memory and open files of the edge over the time of a run.

use std::time::{Duration, Instant};

use perigee_bench::{Process, of};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Share of a run that does not count: caches and pools fill.
const WARM: f64 = 0.2;

#[derive(Clone, Copy, Debug)]
struct Look {
    resident_kib: f64,
    open_files: f64,
}

/// The looks so far, at most one a second.
#[derive(Debug, Default)]
pub struct Watch {
    looks: Vec<Look>,
    last: Option<Instant>,
}

/// Medians of the first and the last third of what counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Course {
    pub first: f64,
    pub last: f64,
}

impl Course {
    /// How much more there is at the end; 0 if there is less.
    pub fn growth(self) -> f64 {
        (self.last - self.first).max(0.0)
    }
}

impl Watch {
    pub fn look(&mut self, process: &Process) {
        if self.last.is_none_or(|last| last.elapsed() >= LOOK) {
            let (resident_kib, open_files) = (process.resident_kib() as f64, process.open_files() as f64);
            self.looks.push(Look { resident_kib, open_files });
            self.last = Some(Instant::now());
        }
    }

    pub fn resident_kib(&self) -> Course {
        self.course(|look| look.resident_kib)
    }

    pub fn open_files(&self) -> Course {
        self.course(|look| look.open_files)
    }

    fn course(&self, value: fn(&Look) -> f64) -> Course {
        let counted = &self.looks[(self.looks.len() as f64 * WARM) as usize..];
        let third = counted.len().div_ceil(3);
        Course { first: of(&counted[..third], value), last: of(&counted[counted.len() - third..], value) }
    }
}
