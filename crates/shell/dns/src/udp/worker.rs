//! A thread that answers the datagrams of one socket, in batches.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use perigee_net::{
    DatagramBatch, DatagramSocket, Fault, Host, MAX_BATCH, Shutdown, StopReceiver, StopSender, stop_signal,
};
use tokio::sync::oneshot;
use tracing::warn;

use super::{BACKOFF, Lane, MAX_LAST};
use crate::Responder;
use crate::arrival::Limit;
use crate::fast::{FastPath, Outcome};

/// How long a full send buffer is waited for; the client asks again sooner than it would like an older answer.
const PATIENCE: Duration = Duration::from_millis(10);

/// With less than this between two queries a worker is busy: 20,000 a second.
const BUSY: Duration = Duration::from_micros(50);
/// How long a busy worker lets queries gather (Perigee's choice, as network cards moderate their interrupts). Woken by
/// each of them it would spend its time on waking up, and answers to one client would leave one by one; nobody else ever
/// waits for it.
const NAP: Duration = Duration::from_micros(40);

/// Datagrams received but not answered, with their clients: what came in the moment that the host failed.
type Left = Vec<(Vec<u8>, SocketAddr)>;

/// A thread at work.
pub(super) struct Running {
    stop: StopSender,
    done: oneshot::Receiver<(DatagramSocket, Left)>,
    outcome: Option<(DatagramSocket, Left)>,
}

impl Running {
    /// Waits until the thread has ended by itself, which it does if the host's fault overtakes its lane.
    pub(super) async fn ended(&mut self) {
        self.outcome = (&mut self.done).await.ok();
    }

    /// Ends the thread. None: it failed, and the socket is closed.
    pub(super) async fn stop(mut self) -> Option<(DatagramSocket, Left)> {
        self.stop.stop();
        match self.outcome {
            Some(outcome) => Some(outcome),
            None => self.done.await.ok(),
        }
    }
}

/// Starts a thread that answers at `socket` as long as the lane's host is well and the server goes on.
///
/// Errors: no file descriptor or thread left; the socket is closed.
pub(super) fn start(lane: &Lane, socket: DatagramSocket) -> io::Result<Running> {
    let (stop, stopped) = stop_signal()?;
    let (ended, done) = oneshot::channel();
    let worker = Worker {
        fast: FastPath::new(lane.responder.clone(), lane.shared.clone(), lane.number as u64),
        responder: lane.responder.clone(),
        host: lane.host.clone(),
        shutdown: lane.shutdown.clone(),
        socket,
    };
    std::thread::Builder::new().name(format!("dns-udp-{}", lane.number)).spawn(move || {
        let mut worker = worker;
        let left = worker.run(&stopped);
        // Nobody waits for it when the runtime is gone.
        let _ = ended.send((worker.socket, left));
    })?;
    Ok(Running { stop, done, outcome: None })
}

struct Worker {
    socket: DatagramSocket,
    fast: FastPath,
    responder: Arc<Responder>,
    host: Host,
    shutdown: Shutdown,
}

impl Worker {
    fn run(&mut self, stopped: &StopReceiver) -> Left {
        let mut batch = DatagramBatch::new();
        // After a batch that was not full there is most likely nothing, and asking would be a call in vain.
        let mut is_full = false;
        let mut last = Instant::now();
        while !stopped.is_stopped() {
            if !is_full && let Err(error) = batch.wait(&self.socket, stopped) {
                warn!(%error, "waiting for datagrams failed");
                std::thread::sleep(BACKOFF);
            }
            let is_busy;
            is_full = match batch.receive(&self.socket) {
                Ok(received) => {
                    let now = Instant::now();
                    is_busy = now.duration_since(last) < BUSY * received as u32;
                    last = now;
                    received == MAX_BATCH
                }
                // It woke up for another reason.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    is_full = false;
                    continue;
                }
                // An earlier answer that was refused shows up here, so this is no reason to stop.
                Err(_) => continue,
            };
            if self.host.fault() != Fault::None {
                return batch.take().collect();
            }
            self.answer(&mut batch);
            if is_busy && !is_full {
                std::thread::sleep(NAP);
            }
        }
        if self.shutdown.is_draining() && self.host.fault() == Fault::None {
            let mut last = 0;
            while last < MAX_LAST {
                let Ok(received) = batch.receive(&self.socket) else { break };
                last += received;
                self.answer(&mut batch);
            }
        }
        Left::new()
    }

    fn answer(&mut self, batch: &mut DatagramBatch) {
        let Self { socket, fast, responder, .. } = self;
        fast.refresh();
        fast.prefetch(batch.received());
        batch.answer_each(socket, |query, client, room| {
            // Nothing answers at port 0; a datagram from there is forged.
            if client.port() == 0 {
                responder.metrics().drop_for("port_0");
                return None;
            }
            let limit = match fast.answer(query, client, room) {
                Outcome::Answered(len) => return Some(len),
                Outcome::Limited(verdict) => Limit::Judged(verdict),
                Outcome::Slow => Limit::By(fast.limiter()),
            };
            let answer = responder.answer_datagram(query, client, false, limit)?;
            room.get_mut(..answer.len())?.copy_from_slice(&answer);
            Some(answer.len())
        });
        fast.flush();
        let sent = batch.send(socket, PATIENCE);
        if sent.lost > 0 {
            responder.metrics().drop_many("unsendable", sent.lost as u64);
        }
    }
}
