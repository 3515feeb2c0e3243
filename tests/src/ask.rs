//! A small DNS client over UDP, written from the RFCs for the tests alone: it shares no code with the server, and asks
//! faster than a process per question could.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Type numbers (IANA, "DNS Parameters").
pub const A: u16 = 1;
/// See [`A`].
pub const AAAA: u16 = 28;

const OPT: u16 = 41;
const CLIENT_SUBNET: u16 = 8;
/// UDP payload size that the client states.
const PAYLOAD: u16 = 1_232;
/// Questions under way at a time: few enough for the socket's buffers.
const WINDOW: usize = 64;

/// A question.
#[derive(Clone, Debug)]
pub struct Question {
    /// The name, with or without a dot at its end.
    pub name: String,
    /// Its type.
    pub qtype: u16,
    /// Whether to ask for recursion, as a client asks a resolver.
    pub recursion: bool,
    /// The client subnet: address and length of the prefix; bits behind it are cleared.
    pub subnet: Option<(IpAddr, u8)>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The response code of the header.
    pub code: u8,
    /// The addresses of the answer section, in the order of the message.
    pub addresses: Vec<IpAddr>,
    /// The least TTL of those, seconds.
    pub ttl_s: Option<u32>,
    /// The scope of the client subnet option.
    pub scope: Option<u8>,
}

impl Question {
    /// The message with that identifier (RFC 1035 section 4, RFC 6891 section 6, RFC 7871 section 6).
    pub fn message(&self, id: u16) -> Vec<u8> {
        let additional = u16::from(self.subnet.is_some());
        let mut bytes = Vec::with_capacity(64);
        for word in [id, u16::from(self.recursion) << 8, 1, 0, 0, additional] {
            bytes.extend(word.to_be_bytes());
        }
        for label in self.name.split('.').filter(|label| !label.is_empty()) {
            bytes.push(u8::try_from(label.len()).unwrap_or_else(|_| panic!("{label} is no label")));
            bytes.extend(label.as_bytes());
        }
        bytes.push(0);
        bytes.extend([self.qtype, 1].map(u16::to_be_bytes).concat());
        if let Some((address, len)) = self.subnet {
            let (family, octets) = match address {
                IpAddr::V4(v4) => (1_u16, v4.octets().to_vec()),
                IpAddr::V6(v6) => (2, v6.octets().to_vec()),
            };
            let kept = cleared(&octets, len);
            bytes.push(0);
            bytes.extend([OPT, PAYLOAD, 0, 0, 8 + kept.len() as u16].map(u16::to_be_bytes).concat());
            bytes.extend([CLIENT_SUBNET, 4 + kept.len() as u16, family].map(u16::to_be_bytes).concat());
            bytes.extend([len, 0]);
            bytes.extend(kept);
        }
        bytes
    }
}

/// The octets that a prefix needs, with the bits behind it cleared.
fn cleared(octets: &[u8], len: u8) -> Vec<u8> {
    let mut kept = octets[..usize::from(len.div_ceil(8))].to_vec();
    if let (Some(last), 1..) = (kept.last_mut(), len % 8) {
        *last &= 0xff << (8 - len % 8);
    }
    kept
}

/// Reads a response; none if it is none, or cut off.
pub fn read(message: &[u8]) -> Option<(u16, Reply)> {
    let mut at = 0;
    let [id, flags, questions, answers, authority, additional] = [(); 6].map(|()| u16_at(message, &mut at));
    let flags = flags.filter(|flags| flags & 0x8000 != 0)?;
    for _ in 0..questions? {
        skip_name(message, &mut at)?;
        at += 4;
    }
    let mut reply = Reply { code: (flags & 15) as u8, addresses: Vec::new(), ttl_s: None, scope: None };
    let (answers, all) = (answers?, answers?.checked_add(authority?)?.checked_add(additional?)?);
    for n in 0..all {
        skip_name(message, &mut at)?;
        let kind = u16_at(message, &mut at)?;
        let _class = u16_at(message, &mut at)?;
        let ttl_s = u32::from(u16_at(message, &mut at)?) << 16 | u32::from(u16_at(message, &mut at)?);
        let len = usize::from(u16_at(message, &mut at)?);
        let data = message.get(at..at + len)?;
        at += len;
        match kind {
            A | AAAA if n < answers => {
                let v4 = || Some(IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?)));
                let v6 = || Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?)));
                reply.addresses.push(if kind == A { v4()? } else { v6()? });
                reply.ttl_s = Some(reply.ttl_s.map_or(ttl_s, |least| least.min(ttl_s)));
            }
            OPT => reply.scope = scope(data),
            _ => {}
        }
    }
    Some((id?, reply))
}

fn scope(mut options: &[u8]) -> Option<u8> {
    while let [code_high, code_low, len_high, len_low, rest @ ..] = options {
        let len = usize::from(u16::from_be_bytes([*len_high, *len_low]));
        let data = rest.get(..len)?;
        if u16::from_be_bytes([*code_high, *code_low]) == CLIENT_SUBNET {
            return data.get(3).copied();
        }
        options = &rest[len..];
    }
    None
}

fn u16_at(message: &[u8], at: &mut usize) -> Option<u16> {
    let bytes = message.get(*at..*at + 2)?;
    *at += 2;
    Some(u16::from_be_bytes([bytes[0], bytes[1]]))
}

fn skip_name(message: &[u8], at: &mut usize) -> Option<()> {
    loop {
        let len = *message.get(*at)?;
        *at += 1;
        match len {
            0 => return Some(()),
            1..=63 => *at += usize::from(len),
            _ => {
                *at += 1;
                return Some(());
            }
        }
    }
}

/// Asks one server from one address.
#[derive(Debug)]
pub struct Asker {
    socket: UdpSocket,
    next_id: u16,
}

impl Asker {
    /// Opens a socket at `source`, any port, for `server`. Panics when that cannot be.
    pub fn new(source: IpAddr, server: SocketAddr) -> Self {
        let open = || -> io::Result<UdpSocket> {
            let socket = UdpSocket::bind((source, 0))?;
            socket.connect(server)?;
            Ok(socket)
        };
        let socket = open().unwrap_or_else(|e| panic!("cannot ask {server} from {source}: {e}"));
        Self { socket, next_id: 0 }
    }

    /// Asks once. None: no answer to it within `limit`.
    pub fn ask(&mut self, question: &Question, limit: Duration) -> Option<Reply> {
        self.next_id = self.next_id.wrapping_add(1);
        let id = self.next_id;
        // A refusal of the port comes back as an error of send or receive; both are no answer.
        self.socket.send(&question.message(id)).ok()?;
        let until = Instant::now() + limit;
        loop {
            let (got, reply) = self.receive(until)?;
            if got == id {
                return Some(reply);
            }
        }
    }

    /// Asks everything, [`WINDOW`] questions at a time, each again after a second without an answer, and gives the
    /// replies in the questions' order. Panics when one stays without an answer five times.
    pub fn ask_all(&mut self, questions: &[Question]) -> Vec<Reply> {
        let mut replies: Vec<Option<Reply>> = vec![None; questions.len()];
        // Under way: the question of an identifier, its sending, and how often it was sent.
        let mut pending: BTreeMap<u16, (usize, Instant, u8)> = BTreeMap::new();
        let mut next = 0;
        let again = Duration::from_secs(1);
        while next < questions.len() || !pending.is_empty() {
            while pending.len() < WINDOW && next < questions.len() {
                self.next_id = self.next_id.wrapping_add(1);
                self.send(questions, next, self.next_id);
                pending.insert(self.next_id, (next, Instant::now(), 1));
                next += 1;
            }
            let oldest = pending.values().map(|(_, sent, _)| *sent).min().unwrap_or_else(Instant::now);
            if let Some((id, reply)) = self.receive(oldest + again) {
                if let Some((n, ..)) = pending.remove(&id) {
                    replies[n] = Some(reply);
                }
                continue;
            }
            for (id, (n, sent, times)) in &mut pending {
                assert!(*times < 5, "no answer to {:?}", questions[*n]);
                self.send(questions, *n, *id);
                (*sent, *times) = (Instant::now(), *times + 1);
            }
        }
        replies.into_iter().flatten().collect()
    }

    fn send(&self, questions: &[Question], n: usize, id: u16) {
        let sent = self.socket.send(&questions[n].message(id));
        sent.unwrap_or_else(|e| panic!("cannot send {:?}: {e}", questions[n]));
    }

    fn receive(&self, until: Instant) -> Option<(u16, Reply)> {
        let mut buffer = [0; 4_096];
        loop {
            let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            self.socket.set_read_timeout(Some(left)).ok()?;
            let len = self.socket.recv(&mut buffer).ok()?;
            if let Some(found) = read(&buffer[..len]) {
                return Some(found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_has_the_octets_of_the_rfcs() {
        let subnet = Some((IpAddr::from([168, 126, 63, 200]), 20));
        let question = Question { name: "a.bc.".to_owned(), qtype: A, recursion: true, subnet };
        let expected = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\x01a\x02bc\x00\x00\x01\x00\x01\
                         \x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x0b\x00\x08\x00\x07\x00\x01\x14\x00\xa8\x7e\x30";
        assert_eq!(question.message(0x1234), expected);
        let plain = Question { subnet: None, recursion: false, ..question };
        assert_eq!(plain.message(1)[..12], [0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_reply_is_read_to_its_scope_and_a_question_is_none() {
        let mut message = b"\x12\x34\x85\x00\x00\x01\x00\x02\x00\x00\x00\x01\x01a\x00\x00\x01\x00\x01".to_vec();
        for (ttl, host) in [(30, 1), (15, 2)] {
            message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, ttl, 0, 4, 127, 0, 0, host]);
        }
        message.extend(b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x0b\x00\x08\x00\x07\x00\x01\x18\x10\xa8\x7e\x3f");
        let addresses = vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2])];
        assert_eq!(read(&message), Some((0x1234, Reply { code: 0, addresses, ttl_s: Some(15), scope: Some(16) })));
        assert_eq!(read(&message[..30]), None, "cut off");
        message[2] = 0;
        assert_eq!(read(&message), None, "a question");
    }
}
