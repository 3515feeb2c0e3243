//! BIND's validator, `delv`. Also a module of the tests in `tests/dns`, so it knows nothing of this crate.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Seconds that `delv` may take; its own patience with a silent server ends before.
const DELV_S: &str = "40";

/// What a validator makes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Secure,
    /// Proven that there is none.
    Denied,
    /// Proven that nobody signs it.
    #[allow(dead_code, reason = "the other user of this file has no unsigned zone")]
    Insecure,
    Bogus,
}

/// What a program prints; panics with the Debian package that has it if it cannot be run.
pub(crate) fn output(package: &str, command: &mut Command) -> String {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().unwrap_or_else(|e| panic!("cannot run {program} (Debian: {package}): {e}"));
    // What `timeout` says of a program that is not there.
    assert_ne!(output.status.code(), Some(127), "cannot run a program of Debian's package {package}: {command:?}");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A file in the form of BIND's `trust-anchors` that trusts `keys` (the data of DNSKEY records) of `perigee.test`.
pub(crate) fn anchors_file(directory: &Path, keys: impl IntoIterator<Item = String>) -> PathBuf {
    let keys = keys.into_iter().map(|key| {
        let mut fields = key.split(' ');
        let mut field = || fields.next().expect("a DNSKEY has four fields");
        format!("\"perigee.test.\" static-key {} {} {} \"{}\";", field(), field(), field(), field())
    });
    let text = format!("trust-anchors {{ {} }};\n", keys.collect::<String>());
    fs::create_dir_all(directory).unwrap();
    let path = directory.join("anchors");
    fs::write(&path, text).unwrap();
    path
}

/// Whether the server answers a question for its SOA record.
fn answers(server: SocketAddr, over_tcp: bool) -> bool {
    let patience = Some(Duration::from_secs(5));
    let question = b"\0\x07\0\0\0\x01\0\0\0\0\0\0\x07perigee\x04test\0\0\x06\0\x01";
    let mut answer = [0; 512];
    let mut ask = || -> io::Result<usize> {
        if over_tcp {
            let mut stream = TcpStream::connect(server)?;
            stream.set_read_timeout(patience)?;
            stream.write_all(&[&[0, question.len() as u8][..], question].concat())?;
            return stream.read(&mut answer);
        }
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(patience)?;
        socket.send_to(question, server)?;
        socket.recv(&mut answer)
    };
    ask().is_ok_and(|octets| octets > 0)
}

/// What `delv` makes of `server`'s answer to the client at `source`, and what it prints.
pub(crate) fn delv(server: SocketAddr, anchors: &Path, source: &str, question: &[&str]) -> (Verdict, String) {
    let (ip, port) = (format!("@{}", server.ip()), server.port().to_string());
    let mut attempts = (0..3).map(|_| {
        let mut command = Command::new("timeout");
        command.args([DELV_S, "delv", &ip, "-p", &port, "-b", source, "+root=perigee.test", "-a"]);
        output("bind9-dnsutils", command.arg(anchors).args(question))
    });
    // `delv` was seen, once in more than a thousand calls, to say nothing and never end. A server that still answers is
    // not the reason, so it is asked again then, and only then.
    let text = attempts.find(|text| {
        let is_silent = text.is_empty();
        assert!(!is_silent || answers(server, question.contains(&"+tcp")), "the server is silent about {question:?}");
        !is_silent
    });
    let text = text.unwrap_or_else(|| panic!("delv does not end when asked for {question:?}"));
    let verdict = match &text {
        text if text.contains("; negative response, fully validated") => Verdict::Denied,
        text if text.contains("; fully validated") => Verdict::Secure,
        text if text.contains("; unsigned answer") => Verdict::Insecure,
        text if text.contains("resolution failed") => Verdict::Bogus,
        _ => panic!("delv says neither yes nor no about {question:?}: {text}"),
    };
    (verdict, text)
}
