//! BIND's validator, `delv`. Also a module of the tests in `tests/dns`, so it knows nothing of this crate.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

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

/// What `delv` makes of `server`'s answer to the client at `source`, and what it prints.
pub(crate) fn delv(server: SocketAddr, anchors: &Path, source: &str, question: &[&str]) -> (Verdict, String) {
    let mut command = Command::new("delv");
    command.arg(format!("@{}", server.ip())).args(["-p", &server.port().to_string()]);
    command.args(["-b", source, "+root=perigee.test", "-a"]).arg(anchors).args(question);
    let text = output("bind9-dnsutils", &mut command);
    let verdict = match &text {
        text if text.contains("; negative response, fully validated") => Verdict::Denied,
        text if text.contains("; fully validated") => Verdict::Secure,
        text if text.contains("; unsigned answer") => Verdict::Insecure,
        text if text.contains("resolution failed") => Verdict::Bogus,
        _ => panic!("delv says neither yes nor no about {question:?}: {text}"),
    };
    (verdict, text)
}
