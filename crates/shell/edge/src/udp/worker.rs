use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::{ArcSwap, Cache};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use perigee_dataplane::{EdgeView, EndedUdpFlow, UdpEnd, UdpFlowId, UdpFlows};
use perigee_flow_log::REPORT_EVERY;
use perigee_model::Instant;
use perigee_net::{DatagramSocket, Fault, PacketBatch};
use tracing::{debug, warn};

use super::Shared;
use super::faults::Faults;
use super::flow::UdpFlow;
use super::mailbox::{Command, Post};
use crate::FlowMeter;

/// Events taken with one call.
const EVENTS: usize = 256;
/// With flows, how often a worker looks for points of presence and network zones that have crashed, at least.
const LOOK: Duration = Duration::from_millis(500);
/// Pause after a failed wait.
const BACKOFF: Duration = Duration::from_millis(20);
/// Rounds of the last pass: what came in may have answers that wait by then.
const LAST_ROUNDS: usize = 8;

/// What an event means that is no flow's: flows' identifiers leave this bit free.
const OURS: u64 = 1 << 63;
/// The mailbox.
const POST: u64 = u64::MAX;

/// A socket on a static address.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) socket: DatagramSocket,
    pub(super) address: SocketAddr,
    /// The network zone that the address belongs to.
    pub(super) zone: usize,
}

/// What a worker waits with; it hears its mailbox.
///
/// Errors: no file descriptor left.
pub(super) fn epoll(post: &Post) -> io::Result<Epoll> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(post, EpollEvent::new(EpollFlags::EPOLLIN, POST))?;
    Ok(epoll)
}

/// One thread's share of the UDP flows: its sockets, its table, and the loop that waits for them.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) number: usize,
    post: Post,
    epoll: Epoll,
    pub(super) view: Cache<Arc<ArcSwap<EdgeView>>, Arc<EdgeView>>,
    /// By position, which flows remember; a free place is none.
    pub(super) listeners: Vec<Option<Listening>>,
    pub(super) flows: UdpFlows<UdpFlow>,
    pub(super) faults: Faults,
    pub(super) meter: FlowMeter,
    /// When flows were last told of; without flows, now.
    reported: Instant,
    pub(super) batch: PacketBatch,
    /// The flows of a batch's packets: made here once, so that no batch allocates.
    pub(super) order: Vec<(UdpFlowId, usize)>,
    /// Read once per wake-up.
    pub(super) now: Instant,
}

impl Worker {
    /// To be called by the worker's own thread, with [`epoll`]'s result.
    pub(super) fn new(shared: Arc<Shared>, number: usize, post: Post, epoll: Epoll) -> Self {
        // The standard library's own source of keys for hashes of what strangers send.
        let entropy = RandomState::new();
        let seed = (u128::from(entropy.hash_one(0)) << 64) | u128::from(entropy.hash_one(1));
        let settings = shared.front.view().snapshot.settings.clone();
        Self {
            number,
            post,
            epoll,
            view: Cache::new(shared.front.shared_view()),
            listeners: Vec::new(),
            flows: UdpFlows::new(settings.limits.edge_udp_flows, settings.timing.udp_idle_timeout, seed),
            faults: Faults::new(shared.hosts.clone()),
            meter: shared.metrics.meter.clone(),
            reported: shared.clock.now(),
            batch: PacketBatch::new(),
            order: Vec::with_capacity(perigee_net::MAX_BATCH),
            now: shared.clock.now(),
            shared,
        }
    }

    /// Passes datagrams on until the mailbox is gone, and then what has arrived.
    pub(super) fn run(mut self) {
        let mut events = [EpollEvent::empty(); EVENTS];
        loop {
            let timeout = self.timeout();
            let ready = self.wait(&mut events, timeout);
            for event in &events[..ready] {
                match event.data() {
                    POST => {
                        if self.read_post().is_err() {
                            self.finish(&mut events);
                            return;
                        }
                    }
                    data => self.pass(data),
                }
            }
            self.look_after_flows();
        }
    }

    /// Waits for events and reads the clock.
    fn wait(&mut self, events: &mut [EpollEvent], timeout: EpollTimeout) -> usize {
        let ready = self.epoll.wait(events, timeout);
        self.now = self.shared.clock.now();
        if self.flows.is_empty() {
            self.reported = self.now;
        }
        ready.unwrap_or_else(|error| {
            if error != nix::errno::Errno::EINTR {
                warn!(%error, "waiting for datagrams failed");
                std::thread::sleep(BACKOFF);
            }
            0
        })
    }

    /// Until a flow is over, or it is time to look for what has crashed; without flows, for ever.
    fn timeout(&self) -> EpollTimeout {
        let Some(at) = self.flows.poll_timeout() else { return EpollTimeout::NONE };
        let wait = at.since(self.now).min(LOOK);
        // Rounded up: woken early, it would only wait again.
        u16::try_from(wait.as_micros().div_ceil(1_000)).map_or(EpollTimeout::MAX, EpollTimeout::from)
    }

    fn pass(&mut self, data: u64) {
        if data & OURS == 0 {
            self.outbound(UdpFlowId::from_bits(data));
        } else {
            // What is beyond the sockets that there are is passed over.
            self.inbound(usize::try_from(data & !OURS).unwrap_or(usize::MAX));
        }
    }

    fn look_after_flows(&mut self) {
        if self.reported + REPORT_EVERY <= self.now {
            self.reported = self.now;
            self.flows.for_each(|_, flow| flow.report());
        }
        while let Some(ended) = self.flows.expire(self.now) {
            self.ended(ended);
        }
        if !self.flows.is_empty() && self.faults.any_crashed() {
            let (faults, listeners) = (&mut self.faults, &self.listeners);
            let zone = |at: usize| listeners[at].as_ref().map(|listening| listening.zone);
            let gone = self.flows.forget(|_, flow| {
                faults.pop(flow.route.pop) == Fault::Crash
                    || zone(flow.listener).is_some_and(|zone| faults.zone(zone) == Fault::Crash)
            });
            gone.into_iter().for_each(|ended| self.ended(ended));
        }
    }

    /// Does what the mailbox says. Errors: the mailbox is gone.
    fn read_post(&mut self) -> Result<(), ()> {
        self.post.heard();
        while let Some(command) = self.post.next()? {
            self.obey(command);
        }
        Ok(())
    }

    fn obey(&mut self, command: Command) {
        let Command { opened, closed, flows, idle, done } = command;
        self.flows.set_limits(flows, idle);
        // Their flows end with them, before another socket may have their place.
        let listeners = &self.listeners;
        let is_closed = |at: usize| listeners[at].as_ref().is_some_and(|l| closed.binary_search(&l.address).is_ok());
        let view = self.view.load();
        let gone = self.flows.forget(|flow, kept| is_closed(kept.listener) || !view.serves(flow));
        gone.into_iter().for_each(|ended| self.ended(ended));
        for listener in &mut self.listeners {
            listener.take_if(|l| closed.binary_search(&l.address).is_ok());
        }
        for (socket, zone) in opened {
            let address = socket.local_addr();
            let free = self.listeners.iter().position(Option::is_none).unwrap_or(self.listeners.len());
            if let Err(error) = self.epoll.add(socket.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, OURS | free as u64))
            {
                warn!(%address, %error, "cannot wait for datagrams");
                continue;
            }
            let listening = Some(Listening { socket, address, zone });
            match self.listeners.get_mut(free) {
                Some(place) => *place = listening,
                None => self.listeners.push(listening),
            }
        }
        // Nobody waits for it when the process is ending.
        let _ = done.send(());
    }

    /// Waits for the answers of a flow's endpoint. Errors: those of `epoll_ctl`.
    pub(super) fn watch(&self, id: UdpFlowId) -> io::Result<()> {
        let Some(flow) = self.flows.get(id) else { return Ok(()) };
        Ok(self.epoll.add(flow.socket.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, id.to_bits()))?)
    }

    /// A flow has begun.
    pub(super) fn began(&self) {
        self.shared.active.fetch_add(1, Ordering::Relaxed);
        self.shared.metrics.active_flows.inc();
    }

    /// A flow is over. The one place that every flow of this worker passes at its end: here is who it was, where it
    /// went, since when, and what it carried each way.
    pub(super) fn ended(&self, ended: EndedUdpFlow<UdpFlow>) {
        let EndedUdpFlow { flow, kept, last, why } = ended;
        self.shared.active.fetch_sub(1, Ordering::Relaxed);
        self.shared.metrics.active_flows.dec();
        match why {
            UdpEnd::Idle => self.shared.metrics.idle.inc(),
            UdpEnd::Evicted => self.shared.metrics.evicted.inc(),
            UdpEnd::Forgotten => 0,
        };
        let (endpoint, lasted) = (kept.route.candidate.address, last.since(kept.started));
        let (inbound, outbound) = (kept.inbound, kept.outbound);
        debug!(client = %flow.client, destination = %flow.destination, %endpoint, ?why, ?lasted, ?inbound, ?outbound, "UDP flow over");
        kept.ended();
    }

    /// Passes on what has arrived, and ends.
    fn finish(mut self, events: &mut [EpollEvent]) {
        for _ in 0..LAST_ROUNDS {
            let ready = self.wait(events, EpollTimeout::ZERO);
            let mut any = false;
            for data in events[..ready].iter().map(EpollEvent::data).filter(|data| *data != POST) {
                self.pass(data);
                any = true;
            }
            if !any {
                break;
            }
        }
        let gone = self.flows.forget(|_, _| true);
        gone.into_iter().for_each(|ended| self.ended(ended));
    }
}
