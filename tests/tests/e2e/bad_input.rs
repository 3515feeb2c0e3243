//! Everything that should not be sent, on every port.

use std::io::{BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use perigee_tests::figures::Figures;
use perigee_tests::http::{connect, read_answer};
use perigee_tests::stack::{SEOUL, Stack};

const LIMIT: Duration = Duration::from_secs(15);

/// Bytes that repeat only after a long time, the same in every run (xorshift, Marsaglia 2003).
fn noise(mut seed: u64, len: usize) -> Vec<u8> {
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as u8
    };
    (0..len).map(|_| next()).collect()
}

/// The beginning of a TLS 1.2 ClientHello.
fn tls_hello() -> Vec<u8> {
    let mut hello = vec![0x16, 0x03, 0x01, 0x00, 0x60, 0x01, 0x00, 0x00, 0x5c, 0x03, 0x03];
    hello.extend(noise(7, 86));
    hello
}

fn every_tcp_port(stack: &Stack) -> Vec<(&'static str, SocketAddr)> {
    let slot = stack.slot();
    let status = SocketAddr::new(slot.node(82, 1).ip(), 7070);
    vec![
        ("edge", slot.accelerator(0)),
        ("node", slot.node(82, 1)),
        ("node status", status),
        ("target", slot.target(82, 1)),
        ("admin", slot.admin()),
        ("dns", slot.dns()),
    ]
}

/// Sends `bytes`, then reads to the end; gives what came back. A reset is an end too.
fn send(to: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(to, None, LIMIT).unwrap();
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut back = Vec::new();
    match stream.take(1 << 20).read_to_end(&mut back) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            panic!("{to} neither answered nor closed within {LIMIT:?}");
        }
        _ => back,
    }
}

#[test]
fn garbage_on_every_port_costs_a_refusal_and_nothing_else() {
    let mut stack = Stack::start();
    let before_kb = stack.resident_kb();
    let mut figures = Figures::of("garbage_on_every_port_costs_a_refusal_and_nothing_else");
    let mut sent = 0;
    for (what, port) in every_tcp_port(&stack) {
        let mut inputs: Vec<Vec<u8>> = (1..=20).map(|seed| noise(seed, 4_000)).collect();
        inputs.push(tls_hello());
        inputs.push(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec());
        inputs.push(b"\r\n\r\n\r\n".to_vec());
        inputs.push(vec![0; 100_000]);
        inputs.push(vec![0xff; 100_000]);
        inputs.push(b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec());
        inputs.push(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello".to_vec());
        inputs.push(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_vec());
        for input in &inputs {
            let back = send(port, input);
            let ok = back.starts_with(b"HTTP/1.1 2") || back.starts_with(b"HTTP/1.0 2");
            assert!(
                !ok,
                "{what}: {:?} was answered {:?}",
                &input[..20.min(input.len())],
                String::from_utf8_lossy(&back)
            );
            sent += 1;
        }
    }
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    for seed in 1..=500 {
        udp.send_to(&noise(seed, (seed as usize * 7) % 1_400), stack.slot().dns()).unwrap();
        sent += 1;
    }
    let answer = stack.client_in_seoul().unwrap().get("/").unwrap();
    assert_eq!((answer.status, answer.region()), (200, SEOUL));
    let grown_kb = stack.resident_kb().saturating_sub(before_kb);
    figures.note("inputs", sent, "").note("memory grown by", grown_kb, "KB");
    assert!(stack.is_alive());
    assert!(grown_kb < 20_000, "{grown_kb} KB more after it");
    assert!(!stack.log().iter().any(|line| line.contains("panicked")), "a panic in the log");
}

#[test]
fn a_header_of_a_megabyte_is_refused_where_it_comes_in() {
    let mut stack = Stack::start();
    let before_kb = stack.resident_kb();
    let mut figures = Figures::of("a_header_of_a_megabyte_is_refused_where_it_comes_in");
    let field = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\n\r\n", "a".repeat(1 << 20));
    let line = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(1 << 20));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X-Many: 0123456789\r\n".repeat(50_000));
    for (what, port) in every_tcp_port(&stack).into_iter().filter(|(what, _)| *what != "dns") {
        for (input, name, accepted) in
            [(&field, "field", &[400, 431][..]), (&line, "line", &[400, 414, 431]), (&many, "fields", &[400, 431])]
        {
            // The refusal may overtake the rest of the input, and a reset may overtake the refusal.
            let mut stream = connect(port, None, LIMIT).unwrap();
            let _ = stream.write_all(input.as_bytes());
            let status = read_answer(&mut BufReader::new(&stream)).map(|a| a.status).ok();
            assert!(status.is_none_or(|s| accepted.contains(&s)), "{what}, long {name}: {status:?}");
            if what == "node" {
                figures.note(&format!("{what}, long {name}"), status, "");
                assert!(status.is_some(), "a node says why it refuses");
            }
        }
    }
    let refused = stack.metric("perigee_alb_limit_refusals_total", &["request_"]);
    let grown_kb = stack.resident_kb().saturating_sub(before_kb);
    figures.note("refusals counted", refused, "").note("memory grown by", grown_kb, "KB");
    assert!(refused >= 3.0, "{refused} refusals counted");
    assert!(grown_kb < 20_000, "{grown_kb} KB more after it");
    assert!(stack.is_alive());
}

#[test]
fn slow_and_half_open_clients_hold_nobody_up() {
    let mut stack = Stack::start();
    let mut silent: Vec<(&str, TcpStream)> = Vec::new();
    for (what, port) in every_tcp_port(&stack) {
        for n in 0..20 {
            let mut stream = connect(port, Some([127, 82, 200, 20 + n].into()), LIMIT).unwrap();
            // Every other one begins a request, or a message, and never ends it.
            if n % 2 == 0 {
                stream.write_all(if what == "dns" { b"\x00\x20" } else { b"GET / HT" }).unwrap();
            }
            silent.push((what, stream));
        }
    }
    let began = Instant::now();
    let load = stack.load("Seoul", &["--rate=100", "--for=12", &stack.url(0)]);
    // A byte every now and then does not keep an unfinished head open for ever.
    let mut dripping = connect(stack.slot().admin(), None, LIMIT).unwrap();
    let mut drips = 0;
    while began.elapsed() < Duration::from_secs(13) && dripping.write_all(b"G").is_ok() {
        drips += 1;
        std::thread::sleep(Duration::from_millis(250));
    }
    let summary = load.finish();
    let mut closed = std::collections::BTreeMap::<&str, usize>::new();
    for (what, mut stream) in silent {
        stream.set_nonblocking(true).unwrap();
        let is_closed = !matches!(stream.read(&mut [0; 4096]), Err(e) if e.kind() == ErrorKind::WouldBlock);
        *closed.entry(what).or_default() += usize::from(is_closed);
    }
    let mut figures = Figures::of("slow_and_half_open_clients_hold_nobody_up");
    for (what, count) in &closed {
        figures.note(&format!("{what}: closed within 13 s"), *count, "of 20");
    }
    figures.note("admin: bytes dripped", drips, "").note("requests beside it", summary.number("ok"), "");
    assert_eq!(summary.number("failed"), 0, "{}", summary.failure_list());
    // Idle connections of HTTP have a minute; DNS and admin take ten seconds.
    assert_eq!((closed["dns"], closed["admin"]), (20, 20), "{closed:?}");
    assert!(drips < 50, "an admin connection lived on {drips} dripped bytes");
    assert!(stack.is_alive());
}
