use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Stops a thread that waits for datagrams; dropping it does too.
#[derive(Debug)]
pub struct StopSender {
    stopped: Arc<AtomicBool>,
    /// Closed, it makes the other end readable for ever.
    writer: Option<PipeWriter>,
}

/// The thread's end.
#[derive(Debug)]
pub struct StopReceiver {
    stopped: Arc<AtomicBool>,
    reader: PipeReader,
}

/// A signal and who hears it.
///
/// Errors: no file descriptor left.
pub fn stop_signal() -> io::Result<(StopSender, StopReceiver)> {
    let (reader, writer) = io::pipe()?;
    let stopped = Arc::new(AtomicBool::new(false));
    Ok((StopSender { stopped: stopped.clone(), writer: Some(writer) }, StopReceiver { stopped, reader }))
}

impl StopSender {
    /// Stops; the thread wakes up if it waits.
    pub fn stop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        self.writer = None;
    }
}

impl Drop for StopSender {
    fn drop(&mut self) {
        self.stop();
    }
}

impl StopReceiver {
    /// Whether it is time to stop.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}

impl AsFd for StopReceiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}
