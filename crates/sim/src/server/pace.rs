use perigee_model::Instant;

use crate::{Stream, TargetModel, span};

/// How many times slower than its distribution a target is, at a moment and a request.
///
/// The three causes multiply.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    warm_up: Decline,
    warm_until: Instant,
    cold: Decline,
    cold_left: u32,
    antagonist: Option<Beat>,
}

/// A factor's excess over 1, that falls from `excess` at `whole` units left to nothing at none left.
#[derive(Clone, Copy, Debug, Default)]
struct Decline {
    whole: u64,
    excess: f64,
}

impl Decline {
    fn factor(self, left: u64) -> f64 {
        1.0 + self.excess * (left as f64 / self.whole as f64)
    }
}

/// The antagonist's times, nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Beat {
    period: u64,
    on: u64,
    phase: u64,
    factor: f64,
}

impl Pace {
    /// A pace with no start behind it yet. Draws one number whatever the model, so that a neighbour more or less does
    /// not shift the service times.
    pub(super) fn new(model: &TargetModel, stream: &mut Stream) -> Self {
        let phase = stream.unit();
        let nanos = |seconds: f64| u64::try_from(span(seconds).as_nanos()).unwrap_or(u64::MAX).max(1);
        let warm_up = model.warm_up.map(|w| Decline { whole: nanos(w.s), excess: w.factor - 1.0 });
        let cold = model.cold_cache.map(|c| Decline { whole: c.requests.into(), excess: c.factor - 1.0 });
        let antagonist = model.antagonist.map(|a| {
            let period = nanos(a.every_s);
            Beat { period, on: nanos(a.for_s), phase: (phase * period as f64) as u64, factor: a.factor }
        });
        Self {
            warm_up: warm_up.unwrap_or_default(),
            warm_until: Instant::START,
            cold: cold.unwrap_or_default(),
            cold_left: 0,
            antagonist,
        }
    }

    /// The process starts at `now`: cold in every way.
    pub(super) fn start(&mut self, now: Instant) {
        self.warm_until = now + std::time::Duration::from_nanos(self.warm_up.whole);
        self.cold_left = u32::try_from(self.cold.whole).unwrap_or(u32::MAX);
    }

    /// As if the process had run for long.
    pub(super) fn settle(&mut self) {
        self.warm_until = Instant::START;
        self.cold_left = 0;
    }

    /// The factor of the next request in order, whose work begins at `begins`.
    pub(super) fn next(&mut self, begins: Instant) -> f64 {
        let mut factor = 1.0;
        if begins < self.warm_until {
            factor *= self.warm_up.factor(self.warm_until.as_nanos() - begins.as_nanos());
        }
        if self.cold_left > 0 {
            factor *= self.cold.factor(self.cold_left.into());
            self.cold_left -= 1;
        }
        if let Some(beat) = self.antagonist
            && begins.as_nanos().wrapping_add(beat.phase) % beat.period < beat.on
        {
            factor *= beat.factor;
        }
        factor
    }
}
