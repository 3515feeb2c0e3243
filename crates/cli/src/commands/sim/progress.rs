use std::io::{IsTerminal, stderr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Work that takes longer shows a bar.
const PATIENCE: Duration = Duration::from_secs(2);

/// A progress bar on a terminal, once the work has taken more than two seconds. Shared by threads.
#[derive(Debug)]
pub(super) struct Bar {
    bar: ProgressBar,
    began: Instant,
    shown: AtomicBool,
}

impl Bar {
    /// One of `len` steps. `template` is indicatif's.
    pub(super) fn new(len: u64, template: &str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(len), ProgressDrawTarget::hidden());
        let bar = match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        };
        Self { bar, began: Instant::now(), shown: AtomicBool::new(!stderr().is_terminal()) }
    }

    /// One of so many runs.
    pub(super) fn of_runs(runs: usize) -> Self {
        Self::new(runs as u64, "{bar:30} {pos}/{len} runs, {eta} to go")
    }

    /// One step is done.
    pub(super) fn step(&self) {
        self.show();
        self.bar.inc(1);
    }

    /// So many are done; `message` beside it.
    pub(super) fn at(&self, position: u64, message: String) {
        self.show();
        self.bar.set_position(position);
        self.bar.set_message(message);
    }

    /// Takes it away.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }

    fn show(&self) {
        if self.began.elapsed() > PATIENCE && !self.shown.swap(true, Ordering::Relaxed) {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }
}
