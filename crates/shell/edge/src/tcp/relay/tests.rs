//! A relay between real sockets, told of readiness as epoll would tell it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use proptest::prelude::*;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData};

use super::super::token::{Role, Subject, Token};
use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Writers and readers of any pace and size, and ends in any order: every byte comes, in order, and the ends after them.
    #[test]
    fn every_byte_comes_whatever_the_paces(
        steps in proptest::collection::vec((any::<bool>(), any::<bool>(), 0usize..400_000, 0usize..400_000), 1..40),
    ) {
        let mut bench = Bench::new();
        let mut far = [Far::new(&bench.client), Far::new(&bench.endpoint)];
        let mut last = Pumped::Rests;
        for (writer, reader, bytes, room) in steps {
            far[usize::from(writer)].write(bytes);
            last = bench.turn_within(Some(Timespec { tv_sec: 0, tv_nsec: 0 }));
            far[usize::from(reader)].read(room);
        }
        far.iter_mut().for_each(Far::end);
        while last != Pumped::Closed {
            prop_assert!(!matches!(last, Pumped::Broken(_)), "{last:?}");
            far.iter_mut().for_each(|far| far.read(usize::MAX));
            last = bench.turn_within(Some(Timespec { tv_sec: 0, tv_nsec: 1_000_000 }));
        }
        prop_assert!(bench.holds_nothing());
        drop((bench.near_client, bench.near_endpoint));
        let [client, endpoint] = &mut far;
        while !(client.is_over && endpoint.is_over) {
            client.read(usize::MAX);
            endpoint.read(usize::MAX);
        }
        prop_assert_eq!((client.read, endpoint.read), (endpoint.written, client.written));
    }
}

/// A far end that neither waits nor forgets.
struct Far {
    stream: TcpStream,
    written: u64,
    read: u64,
    is_over: bool,
}

impl Far {
    fn new(stream: &TcpStream) -> Self {
        let stream = stream.try_clone().expect("a handle");
        stream.set_nonblocking(true).expect("an option");
        Self { stream, written: 0, read: 0, is_over: false }
    }

    fn write(&mut self, bytes: usize) {
        let bytes: Vec<u8> = (self.written..).take(bytes).map(pattern).collect();
        self.written += (&self.stream).write(&bytes).unwrap_or(0) as u64;
    }

    fn read(&mut self, room: usize) {
        let mut chunk = vec![0; room.min(1 << 20)];
        let Ok(read) = (&self.stream).read(&mut chunk) else { return };
        self.is_over |= read == 0 && room > 0;
        for byte in &chunk[..read] {
            assert_eq!(*byte, pattern(self.read), "byte {} is another", self.read);
            self.read += 1;
        }
    }

    fn end(&mut self) {
        self.stream.shutdown(std::net::Shutdown::Write).expect("ended");
    }
}

/// Two far ends and the relay between them.
struct Bench {
    client: TcpStream,
    endpoint: TcpStream,
    near_client: OwnedFd,
    near_endpoint: OwnedFd,
    relay: Relay,
    pool: Pool,
    epoll: OwnedFd,
}

fn pair() -> (TcpStream, OwnedFd) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let far = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connect");
    far.set_read_timeout(Some(Duration::from_secs(10))).expect("an option");
    let near = listener.accept().expect("an accept").0;
    near.set_nonblocking(true).expect("an option");
    (far, near.into())
}

impl Bench {
    fn new() -> Self {
        let ((client, near_client), (endpoint, near_endpoint)) = (pair(), pair());
        let epoll = epoll::create(CreateFlags::CLOEXEC).expect("an epoll");
        socket::watch(epoll.as_fd(), &near_client, Token::flow(0, 0, Role::Client)).expect("watched");
        socket::watch(epoll.as_fd(), &near_endpoint, Token::flow(0, 0, Role::Attempt(0))).expect("watched");
        let pool = Pool::new(Counter::default(), Counter::default());
        Self { client, endpoint, near_client, near_endpoint, relay: Relay::new(), pool, epoll }
    }

    /// Waits for an event and moves what can be moved.
    fn turn(&mut self) -> Pumped {
        self.turn_within(None)
    }

    fn turn_within(&mut self, limit: Option<Timespec>) -> Pumped {
        let mut events = [Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; 4];
        let found = epoll::wait(&self.epoll, &mut events[..], limit.as_ref()).expect("events");
        for event in &events[..found] {
            let (data, flags) = (event.data, event.flags);
            match Token::from_bits(data.u64()).subject() {
                Subject::Flow { role: Role::Client, .. } => self.relay.note(Side::Client, flags),
                _ => self.relay.note(Side::Endpoint, flags),
            }
        }
        loop {
            let pumped = self.relay.pump(&self.near_client, &self.near_endpoint, &mut self.pool);
            if pumped != Pumped::More {
                return pumped;
            }
        }
    }

    fn until(&mut self, mut reached: impl FnMut(&Self, Pumped) -> bool) -> Pumped {
        loop {
            let pumped = self.turn();
            if reached(self, pumped) {
                return pumped;
            }
            assert_eq!(pumped, Pumped::Rests, "it ended early");
        }
    }

    fn holds_nothing(&self) -> bool {
        self.pool.pipes.lent() == 0 && self.pool.backlogs.lent() == 0
    }
}

fn pattern(at: u64) -> u8 {
    (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8
}

/// Reads to the end and checks every byte.
fn check(mut from: impl Read) -> u64 {
    let (mut at, mut chunk) = (0u64, vec![0; 1 << 20]);
    loop {
        let read = from.read(&mut chunk).expect("readable");
        if read == 0 {
            return at;
        }
        for byte in &chunk[..read] {
            assert_eq!(*byte, pattern(at), "byte {at} is another");
            at += 1;
        }
    }
}

#[test]
fn a_half_closed_client_still_gets_its_answer() {
    let mut bench = Bench::new();
    bench.client.write_all(b"question").expect("sent");
    bench.client.shutdown(std::net::Shutdown::Write).expect("half closed");
    bench.until(|bench, _| bench.relay.inbound.is_ended);
    let mut question = String::new();
    bench.endpoint.read_to_string(&mut question).expect("read to the end");
    bench.endpoint.write_all(b"the answer").expect("sent");
    bench.endpoint.shutdown(std::net::Shutdown::Write).expect("ended");
    assert_eq!(bench.until(|_, pumped| pumped == Pumped::Closed), Pumped::Closed);
    assert_eq!((question.as_str(), bench.relay.moved()), ("question", (8, 10)));
    drop((bench.near_client, bench.near_endpoint));
    let mut answer = String::new();
    bench.client.read_to_string(&mut answer).expect("read to the end");
    assert_eq!(answer, "the answer");
}

#[test]
fn a_half_closed_endpoint_still_gets_what_the_client_says() {
    let mut bench = Bench::new();
    bench.endpoint.write_all(b"banner").expect("sent");
    bench.endpoint.shutdown(std::net::Shutdown::Write).expect("half closed");
    bench.until(|bench, _| bench.relay.endpoint_ended());
    let mut banner = String::new();
    bench.client.read_to_string(&mut banner).expect("read to the end");
    bench.client.write_all(b"more").expect("sent");
    bench.client.shutdown(std::net::Shutdown::Write).expect("ended");
    assert_eq!(bench.until(|_, pumped| pumped == Pumped::Closed), Pumped::Closed);
    drop((bench.near_client, bench.near_endpoint));
    let mut more = String::new();
    bench.endpoint.read_to_string(&mut more).expect("read to the end");
    assert_eq!((banner.as_str(), more.as_str()), ("banner", "more"));
}

#[test]
fn a_reset_of_either_side_is_told_even_after_its_end() {
    for side in [Side::Client, Side::Endpoint] {
        for half_closed in [false, true] {
            let mut bench = Bench::new();
            let far = match side {
                Side::Client => &bench.client,
                Side::Endpoint => &bench.endpoint,
            };
            if half_closed {
                far.shutdown(std::net::Shutdown::Write).expect("half closed");
                bench.until(|bench, _| bench.relay.inbound.is_ended || bench.relay.outbound.is_ended);
            }
            let gone: OwnedFd = match side {
                Side::Client => std::mem::replace(&mut bench.client, pair().0).into(),
                Side::Endpoint => std::mem::replace(&mut bench.endpoint, pair().0).into(),
            };
            socket::reset(gone);
            let pumped = bench.until(|_, pumped| pumped != Pumped::Rests);
            assert_eq!(pumped, Pumped::Broken(side), "half closed: {half_closed}");
        }
    }
}

#[test]
fn a_slow_reader_stops_the_sender_and_costs_bounded_memory() {
    let mut bench = Bench::new();
    let sender = bench.endpoint.try_clone().expect("a handle");
    sender.set_nonblocking(true).expect("an option");
    let mut sent = 0u64;
    let mut chunk = vec![0; 1 << 16];
    let mut turns_in_vain = 0;
    // Nobody reads: it ends when the kernel's buffers and ours are full.
    while turns_in_vain < 3 {
        chunk.iter_mut().zip(sent..).for_each(|(byte, at)| *byte = pattern(at));
        match (&sender).write(&chunk) {
            Ok(n) => {
                sent += n as u64;
                turns_in_vain = 0;
            }
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                turns_in_vain += 1;
                std::thread::yield_now();
            }
        }
        bench.relay.note(Side::Endpoint, EventFlags::IN);
        while bench.relay.pump(&bench.near_client, &bench.near_endpoint, &mut bench.pool) == Pumped::More {}
    }
    assert!(bench.pool.pipes.lent() <= 1 && bench.pool.backlogs.lent() <= CHUNK, "more than one of each is held");
    assert!(sent > 0 && bench.relay.moved().1 <= sent);
    // Once it reads, everything comes, in order.
    sender.set_nonblocking(false).expect("an option");
    sender.shutdown(std::net::Shutdown::Write).expect("ended");
    let reader = bench.client.try_clone().expect("a handle");
    let read = std::thread::spawn(move || check(reader));
    bench.until(|bench, _| bench.relay.endpoint_ended());
    assert!(bench.holds_nothing(), "an idle flow holds something");
    assert_eq!(read.join().expect("every byte is right"), sent);
}

#[test]
fn bulk_goes_through_pipes_in_order_both_ways() {
    const BYTES: u64 = 12 << 20;
    let mut bench = Bench::new();
    let send = |stream: &TcpStream| {
        let mut stream = stream.try_clone().expect("a handle");
        std::thread::spawn(move || {
            let bytes: Vec<u8> = (0..BYTES).map(pattern).collect();
            stream.write_all(&bytes).expect("sent");
            stream.shutdown(std::net::Shutdown::Write).expect("ended");
        })
    };
    let receive = |stream: &TcpStream| {
        let stream = stream.try_clone().expect("a handle");
        std::thread::spawn(move || check(stream))
    };
    let senders = [send(&bench.client), send(&bench.endpoint)];
    let receivers = [receive(&bench.client), receive(&bench.endpoint)];
    let mut was_bulk = false;
    bench.until(|bench, pumped| {
        was_bulk |= bench.relay.outbound.is_bulk() || bench.relay.inbound.is_bulk();
        pumped == Pumped::Closed
    });
    assert!(was_bulk, "nothing went through a pipe");
    assert!(bench.holds_nothing());
    assert_eq!(bench.relay.moved(), (BYTES, BYTES));
    drop((bench.near_client, bench.near_endpoint));
    senders.into_iter().for_each(|sender| sender.join().expect("sent"));
    receivers.into_iter().for_each(|receiver| assert_eq!(receiver.join().expect("every byte is right"), BYTES));
}

#[test]
fn small_messages_hold_nothing_between_them() {
    let mut bench = Bench::new();
    for n in 0..50u8 {
        bench.client.write_all(&[n; 100]).expect("sent");
        bench.until(|bench, _| bench.relay.moved().0 == u64::from(n + 1) * 100);
        let mut seen = [0; 100];
        bench.endpoint.read_exact(&mut seen).expect("it came");
        assert!(seen == [n; 100] && bench.holds_nothing());
    }
}

#[test]
fn urgent_data_costs_no_byte_that_follows_it() {
    let mut bench = Bench::new();
    let client = socket2::SockRef::from(&bench.client);
    for _ in 0..3 {
        (&bench.client).write_all(b"before").expect("sent");
        client.send_out_of_band(b"!").expect("sent");
        (&bench.client).write_all(b"after").expect("sent");
    }
    bench.client.shutdown(std::net::Shutdown::Write).expect("ended");
    bench.until(|bench, _| bench.relay.inbound.is_ended);
    let mut seen = String::new();
    bench.endpoint.read_to_string(&mut seen).expect("read to the end");
    let plain: String = seen.chars().filter(|c| *c != '!').collect();
    assert_eq!(plain, "beforeafter".repeat(3));
}

#[test]
fn from_the_second_write_on_the_endpoint_gets_small_ones_at_once() {
    let prompt = |bench: &Bench| rustix::net::sockopt::tcp_nodelay(&bench.near_endpoint).expect("an option");
    let mut bench = Bench::new();
    let mut heard = [0];
    for (letter, is_prompt) in [(b"a", false), (b"b", true)] {
        (&bench.client).write_all(letter).expect("sent");
        while bench.relay.moved().0 < u64::from(letter[0] - b'a') + 1 {
            assert_eq!(bench.turn(), Pumped::Rests);
        }
        (&bench.endpoint).read_exact(&mut heard).expect("heard");
        assert_eq!((&heard, prompt(&bench)), (letter, is_prompt));
    }
    let mut greeted = Bench::new();
    greeted.relay.note_greeting();
    (&greeted.client).write_all(b"a").expect("sent");
    while greeted.relay.moved().0 == 0 {
        greeted.turn();
    }
    assert!(prompt(&greeted), "the greeting was the first");
}
