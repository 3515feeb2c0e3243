//! A world on a socket, for validators to ask.

use std::net::{SocketAddr, UdpSocket};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use super::world::World;
use crate::dnssec::signer::Asked;
use crate::encode::{decode, encode, udp_limit};
use crate::options::OptRecord;
use crate::wire;

/// What ends the server: no DNS message.
const STOP: &[u8] = b"stop";

pub(super) struct Server {
    pub(super) address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Answers over UDP until dropped; the region of a client is the last octet of its address.
    pub(super) fn start(world: World) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 4_096];
            loop {
                let (len, source) = socket.recv_from(&mut buffer).unwrap();
                if &buffer[..len] == STOP {
                    return;
                }
                let SocketAddr::V4(client) = source else { unreachable!("it listens on IPv4") };
                if let Some(answer) = answer(&world, &buffer[..len], client.ip().octets()[3]) {
                    socket.send_to(&answer, source).unwrap();
                }
            }
        });
        Self { address, thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let stopper = UdpSocket::bind("127.0.0.1:0").unwrap();
        stopper.send_to(STOP, self.address).unwrap();
        self.thread.take().map(JoinHandle::join);
    }
}

/// The bytes of the answer to a query, as the real server writes them.
pub(super) fn answer(world: &World, message: &[u8], region: u8) -> Option<Vec<u8>> {
    let reading = wire::read(message).ok()?;
    let (header, queries) = decode(message, reading.question.is_some())?;
    let qtype = reading.question?.qtype.into();
    let mut response = world.respond(queries.queries().first()?.original().name(), qtype, region);
    let (dnssec_ok, compact_ok) = reading.opt.map_or((false, false), |opt| (opt.dnssec_ok, opt.compact_ok));
    let asked = Asked { qtype, dnssec_ok, compact_ok };
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    response.compact_ok = world.signer.sign(&mut response, asked, now_s);
    let record = reading.opt.map(|_| OptRecord {
        code: response.code,
        dnssec_ok,
        compact_ok: response.compact_ok,
        cookie: None,
        nsid: None,
        subnet: None,
        extended_error: None,
        keepalive: None,
        padded: false,
    });
    Some(encode(&header, &queries, record.as_ref(), &response, udp_limit(&reading)).unwrap())
}
