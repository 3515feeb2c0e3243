use std::time::Duration;

use crate::How;

/// A fault on a machine, by the event that put it there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Active {
    pub(super) event: usize,
    pub(super) how: How,
    /// Of the requests, 0 to 1.
    pub(super) share: f64,
    pub(super) delay: Duration,
}

/// Whether packets reach a machine and what becomes of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    #[default]
    Up,
    /// Connects are refused, connections reset.
    Crashed,
    /// Packets vanish.
    Dark,
}

/// A simulated machine: what is broken about it. Several events may break it at once; the worst decides.
#[derive(Clone, Debug, Default)]
pub(super) struct Host {
    faults: Vec<Active>,
    pub(super) mode: Mode,
    /// Share of the requests answered 500.
    pub(super) error_share: f64,
    /// Every answer, checks included, is this much later.
    pub(super) delay: Duration,
    /// This share of the requests is this much later.
    pub(super) late: Option<(f64, Duration)>,
}

impl Host {
    pub(super) fn add(&mut self, fault: Active) {
        self.faults.retain(|f| f.event != fault.event);
        self.faults.push(fault);
        self.judge();
    }

    pub(super) fn remove(&mut self, event: usize) {
        self.faults.retain(|f| f.event != event);
        self.judge();
    }

    pub(super) fn clear(&mut self) {
        self.faults.clear();
        self.judge();
    }

    fn judge(&mut self) {
        *self = Self { faults: std::mem::take(&mut self.faults), ..Self::default() };
        for fault in &self.faults {
            match fault.how {
                How::Crash => self.mode = Mode::Crashed,
                How::Blackhole if self.mode == Mode::Up => self.mode = Mode::Dark,
                How::Blackhole | How::Unhealthy => {}
                How::Error => self.error_share = self.error_share.max(fault.share),
                How::Slow if fault.share >= 1.0 => self.delay = self.delay.max(fault.delay),
                How::Slow | How::Gray => self.late = Some((fault.share, fault.delay)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(event: usize, how: How) -> Active {
        Active { event, how, share: 1.0, delay: Duration::from_secs(1) }
    }

    #[test]
    fn the_worst_fault_decides_and_mending_one_leaves_the_others() {
        let mut host = Host::default();
        host.add(fault(0, How::Blackhole));
        host.add(fault(1, How::Crash));
        host.add(fault(2, How::Error));
        assert_eq!((host.mode, host.error_share), (Mode::Crashed, 1.0));
        host.remove(1);
        assert_eq!(host.mode, Mode::Dark);
        host.clear();
        assert_eq!((host.mode, host.error_share), (Mode::Up, 0.0));
    }
}
