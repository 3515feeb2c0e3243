//! The table of UDP flows against a list that is searched from end to end: any sequence of events, both must agree on
//! who is found, who ends, why, and when the next one will.

use std::net::SocketAddr;
use std::time::Duration;

use perigee_dataplane::{EndedUdpFlow, UdpEnd, UdpFlowId, UdpFlows};
use perigee_model::Instant;
use perigee_steering::Flow;

/// What can happen to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A client's datagram: opens a flow where none is found.
    Datagram { client: u8, destination: u8 },
    /// An endpoint's datagram, for one of the flows ever opened.
    Reply { flow: u8 },
    /// Time goes on.
    Pass { ms: u16 },
    /// What is over is asked for.
    Expire,
    /// The limits change.
    Limits { flows: u8, idle_s: u8 },
    /// A listener is gone.
    Forget { destination: u8 },
    /// The driver gives up one of the flows ever opened.
    Remove { flow: u8 },
}

/// An event of three octets.
fn event([kind, a, b]: [u8; 3]) -> Event {
    match kind % 11 {
        0..=3 => Event::Datagram { client: a, destination: b },
        4 | 5 => Event::Reply { flow: a },
        6 | 7 => Event::Pass { ms: u16::from_le_bytes([a, b]) },
        8 => Event::Expire,
        9 if a & 1 == 0 => Event::Forget { destination: b },
        9 => Event::Limits { flows: a >> 1, idle_s: b },
        _ => Event::Remove { flow: a },
    }
}

/// The same, of an input of the fuzzer; an event is three octets.
pub(crate) fn check(bytes: &[u8]) {
    check_events(bytes.as_chunks::<3>().0.iter().map(|octets| event(*octets)));
}

/// Few clients of either family and few listeners, so that they meet again.
fn flow_of(client: u8, destination: u8) -> Flow {
    let (host, port) = (client % 3, 1_000 + u16::from(client / 3 % 8));
    let client: SocketAddr = match host {
        0 => ([127, 0, 0, 1], port).into(),
        1 => ([127, 0, 0, 2], port).into(),
        _ => (std::net::Ipv6Addr::LOCALHOST, port).into(),
    };
    Flow::udp(client, ([127, 75, 2, 1], 1 + u16::from(destination % 3)).into())
}

struct Entry {
    flow: Flow,
    id: UdpFlowId,
    value: u64,
    last: Instant,
}

/// The list: flows by their last datagram, the one silent for longest first.
struct Model {
    flows: Vec<Entry>,
    limit: usize,
    idle: Duration,
    now: Instant,
}

impl Model {
    fn is_over(&self, at: usize) -> bool {
        self.now.since(self.flows[at].last) >= self.idle
    }

    fn living(&self, is_it: impl Fn(&Entry) -> bool) -> Option<usize> {
        self.flows.iter().position(is_it).filter(|at| !self.is_over(*at))
    }

    fn renew(&mut self, at: usize) -> UdpFlowId {
        let mut entry = self.flows.remove(at);
        entry.last = self.now;
        let id = entry.id;
        self.flows.push(entry);
        id
    }

    fn end(&mut self, at: usize, why: UdpEnd) -> EndedUdpFlow<u64> {
        let Entry { flow, value, last, .. } = self.flows.remove(at);
        EndedUdpFlow { flow, kept: value, last, why }
    }

    /// What has to end before `flow` is opened.
    fn make_room(&mut self, flow: &Flow) -> Option<EndedUdpFlow<u64>> {
        if let Some(at) = self.flows.iter().position(|entry| entry.flow == *flow) {
            return Some(self.end(at, UdpEnd::Idle));
        }
        (self.flows.len() >= self.limit).then(|| {
            let why = if self.is_over(0) { UdpEnd::Idle } else { UdpEnd::Evicted };
            self.end(0, why)
        })
    }

    fn expire(&mut self) -> Option<EndedUdpFlow<u64>> {
        if self.flows.is_empty() {
            None
        } else if self.is_over(0) {
            Some(self.end(0, UdpEnd::Idle))
        } else {
            (self.flows.len() > self.limit).then(|| self.end(0, UdpEnd::Evicted))
        }
    }
}

/// Plays `events` on both; panics where they differ.
pub(crate) fn check_events(events: impl IntoIterator<Item = Event>) {
    const LIMIT: u32 = 4;
    const IDLE: Duration = Duration::from_secs(30);
    let mut table: UdpFlows<u64> = UdpFlows::new(LIMIT, IDLE, 7);
    let mut model = Model { flows: Vec::new(), limit: LIMIT as usize, idle: IDLE, now: Instant::START };
    let mut opened: Vec<UdpFlowId> = Vec::new();
    for event in events {
        let now = model.now;
        let nth = |flow: u8| opened.get(usize::from(flow) % opened.len().max(1)).copied();
        match event {
            Event::Datagram { client, destination } => {
                let flow = flow_of(client, destination);
                let found = table.find(&flow, now);
                let expected = model.living(|entry| entry.flow == flow).map(|at| model.renew(at));
                assert_eq!(found, expected);
                if found.is_none() {
                    let value = opened.len() as u64;
                    let (id, ended) = table.open(flow, value, now);
                    assert_eq!(ended, model.make_room(&flow));
                    assert!(!opened.contains(&id), "{id:?} was given before");
                    model.flows.push(Entry { flow, id, value, last: now });
                    opened.push(id);
                }
            }
            Event::Reply { flow } => {
                let Some(id) = nth(flow) else { continue };
                let touched = table.touch(id, now).copied();
                let at = model.living(|entry| entry.id == id);
                assert_eq!(touched, at.map(|at| model.flows[at].value));
                at.map(|at| model.renew(at));
            }
            Event::Pass { ms } => model.now = now + Duration::from_millis(u64::from(ms)),
            Event::Expire => {
                while let Some(ended) = table.expire(now) {
                    assert_eq!(Some(ended), model.expire());
                }
                assert_eq!(None, model.expire());
            }
            Event::Limits { flows, idle_s } => {
                let idle = Duration::from_secs(u64::from(idle_s));
                table.set_limits(u32::from(flows), idle);
                (model.limit, model.idle) = (usize::from(flows).max(1), idle);
            }
            Event::Forget { destination } => {
                let gone = flow_of(0, destination).destination;
                let ended = table.forget(|flow, _| flow.destination == gone);
                let mut expected = Vec::new();
                while let Some(at) = model.flows.iter().position(|entry| entry.flow.destination == gone) {
                    expected.push(model.end(at, UdpEnd::Forgotten));
                }
                assert_eq!(ended, expected);
            }
            Event::Remove { flow } => {
                let Some(id) = nth(flow) else { continue };
                let at = model.flows.iter().position(|entry| entry.id == id);
                assert_eq!(table.remove(id), at.map(|at| model.end(at, UdpEnd::Forgotten)));
            }
        }
        assert_eq!(table.len(), model.flows.len());
        assert_eq!(table.is_empty(), model.flows.is_empty());
        assert_eq!(table.poll_timeout(), model.flows.first().map(|entry| entry.last + model.idle));
        for entry in &model.flows {
            assert_eq!(table.get(entry.id), Some(&entry.value));
            assert_eq!(table.flow(entry.id), Some(&entry.flow));
        }
        let is_living = |id: &&UdpFlowId| model.flows.iter().any(|entry| entry.id == **id);
        assert!(opened.iter().filter(|id| !is_living(id)).all(|id| table.get(*id).is_none()));
    }
}
