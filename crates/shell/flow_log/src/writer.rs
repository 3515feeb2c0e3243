use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tracing::{debug, warn};

use crate::files::{Files, Outcome};
use crate::{Counts, Destination, Direction, FlowIdentity, FlowRecord, LogStatus, Moved};

/// Windows that wait to be written; those beyond are dropped and counted (Perigee's choice: a second of a busy edge,
/// about a megabyte).
const WAITING: usize = 16_384;

/// How long [`FlowLogger::close`] waits for the last files (Perigee's choice).
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// What is counted of flow logs. Clones share the figures.
#[derive(Clone, Debug, Default)]
pub struct FlowLogMetrics {
    records: Counter,
    lost: Counter,
    files: Counter,
    errors: Counter,
}

impl FlowLogMetrics {
    /// Counters from zero, registered under `perigee_flow_log_`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let r = registry.sub_registry_with_prefix("perigee_flow_log");
        r.register("records", "Records put in a file", metrics.records.clone());
        r.register("lost_records", "Records dropped: too many waited, or a file failed", metrics.lost.clone());
        r.register("files", "Files published", metrics.files.clone());
        r.register("file_errors", "Files that could not be written", metrics.errors.clone());
        metrics
    }
}

/// Writes flow logs on a thread of its own, which the first stream starts. Clones share the thread.
#[derive(Clone, Debug)]
pub struct FlowLogger(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: Mutex<Queue>,
    metrics: FlowLogMetrics,
}

#[derive(Debug)]
enum Queue {
    NotStarted,
    Open(SyncSender<Message>),
    Closed,
}

#[derive(Debug)]
enum Message {
    Window(Report),
    Close(SyncSender<()>),
}

/// A window on its way to a file. Wherever it is dropped before it is there, it counts as lost.
#[derive(Debug)]
struct Report {
    stream: Arc<LogStream>,
    flow: Arc<FlowIdentity>,
    moved: Moved,
    is_written: bool,
}

impl Drop for Report {
    fn drop(&mut self) {
        if !self.is_written {
            self.stream.skipped.store(true, Ordering::Relaxed);
            self.stream.lost.inc_by(2);
        }
    }
}

impl FlowLogger {
    /// A logger that has not started its thread yet.
    pub fn new(metrics: FlowLogMetrics) -> Self {
        Self(Arc::new(Inner { queue: Mutex::new(Queue::NotStarted), metrics }))
    }

    /// The log of one accelerator. There may be several of one destination, as every worker has its own; they share a
    /// file.
    ///
    /// A logger that is closed, or whose thread cannot be started, gives a log that loses everything and counts it.
    pub fn stream(&self, destination: Destination) -> Arc<LogStream> {
        let mut queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*queue, Queue::NotStarted) {
            let (sender, waiting) = sync_channel(WAITING);
            let metrics = self.0.metrics.clone();
            let thread = std::thread::Builder::new().name("flow-log".into());
            if let Err(error) = thread.spawn(move || run(waiting, &mut Files::new(writer()), &metrics)) {
                warn!(%error, "the thread of the flow logs cannot be started; they are lost");
            }
            *queue = Queue::Open(sender);
        }
        let sender = match &*queue {
            Queue::Open(sender) => sender.clone(),
            Queue::NotStarted | Queue::Closed => sync_channel(0).0,
        };
        let lost = self.0.metrics.lost.clone();
        Arc::new(LogStream { destination, sender, skipped: AtomicBool::new(false), lost })
    }

    /// Writes what waits, publishes every file and ends the thread; later reports are lost and counted. Blocks until
    /// that is done, at most ten seconds; gives whether it is.
    pub fn close(&self) -> bool {
        let mut queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let Queue::Open(sender) = std::mem::replace(&mut *queue, Queue::Closed) else { return true };
        drop(queue);
        let (done, closed) = sync_channel(1);
        // A thread that is gone has published nothing that would be missing now.
        sender.send(Message::Close(done)).is_err() || closed.recv_timeout(CLOSE_LIMIT).is_ok()
    }
}

/// The flow log of one accelerator, as a proxy sees it.
#[derive(Debug)]
pub struct LogStream {
    destination: Destination,
    sender: SyncSender<Message>,
    /// Whether records were lost since the last one that was written.
    skipped: AtomicBool,
    lost: Counter,
}

impl LogStream {
    /// Where it goes.
    pub const fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Logs a window of a flow: two records, unless it was quiet. Never waits: when too many windows wait it is
    /// dropped and counted, and the accelerator's next record says `SKIPDATA`.
    pub fn report(self: &Arc<Self>, flow: &Arc<FlowIdentity>, moved: Moved) {
        if moved.is_quiet() {
            return;
        }
        let report = Report { stream: self.clone(), flow: flow.clone(), moved, is_written: false };
        // What is not taken comes back and is dropped, which counts it.
        let _ = self.sender.try_send(Message::Window(report));
    }

    /// The records of a window, towards the endpoint first.
    fn records(&self, flow: &Arc<FlowIdentity>, moved: Moved) -> [FlowRecord; 2] {
        let skipped = self.skipped.swap(false, Ordering::Relaxed);
        let status = if skipped { LogStatus::SkipData } else { LogStatus::Ok };
        let record = |direction, Counts { packets, bytes }| {
            let Moved { start_s, end_s, .. } = moved;
            FlowRecord { flow: flow.clone(), packets, bytes, start_s, end_s, status, direction }
        };
        [record(Direction::Ingress, moved.ingress), record(Direction::Egress, moved.egress)]
    }
}

/// Takes reports until there can be no more.
fn run(waiting: Receiver<Message>, files: &mut Files, metrics: &FlowLogMetrics) {
    let done = loop {
        let now = unix_now();
        publish(files, now.as_secs(), false, metrics);
        let next = match files.next_end_s() {
            Some(end_s) => waiting.recv_timeout(Duration::from_secs(end_s).saturating_sub(now)),
            None => waiting.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match next {
            Ok(Message::Window(report)) => write(files, report, metrics),
            Ok(Message::Close(done)) => break Some(done),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break None,
        }
    };
    while let Ok(message) = waiting.try_recv() {
        if let Message::Window(report) = message {
            write(files, report, metrics);
        }
    }
    // Whoever reports from here on is told that nobody listens.
    drop(waiting);
    publish(files, unix_now().as_secs(), true, metrics);
    if let Some(done) = done {
        let _ = done.send(());
    }
}

fn write(files: &mut Files, mut report: Report, metrics: &FlowLogMetrics) {
    let records = report.stream.records(&report.flow, report.moved);
    match files.write(&report.stream.destination, records, unix_now().as_secs()) {
        Outcome::Written => {
            report.is_written = true;
            metrics.records.inc_by(2);
        }
        Outcome::Skipped => {}
        Outcome::Failed(error) => failed(&error, metrics),
    }
}

fn publish(files: &mut Files, now_s: u64, all: bool, metrics: &FlowLogMetrics) {
    for published in files.rotate(now_s, all) {
        match published {
            Ok(path) => {
                debug!(path = %path.display(), "flow log published");
                metrics.files.inc();
            }
            Err(error) => failed(&error, metrics),
        }
    }
}

fn failed(error: &io::Error, metrics: &FlowLogMetrics) {
    warn!(%error, "a flow log cannot be written; its records are lost");
    metrics.errors.inc();
}

/// Time since 1970; a clock before that is wrong anyway.
fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A number that no other process of this or another machine has, as good as surely.
fn writer() -> u64 {
    let nanos = unix_now().as_nanos() as u64;
    nanos ^ u64::from(std::process::id()).rotate_left(48)
}

#[cfg(test)]
mod tests;
