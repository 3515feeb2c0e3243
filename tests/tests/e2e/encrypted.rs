//! The encrypted transports of DNS as a user configures them.

use std::process::Command;
use std::time::Duration;

use perigee_tests::program::{Background, Folder, printed, program};
use perigee_tests::stack::{Files, Setup, Stack, binary, without_configuration};
use perigee_tests::wait::until;

const PORTS: &str = "dot_listen = \"ADDRESS:8853\"\ndoh_listen = \"ADDRESS:8443\"\ndoq_listen = \"ADDRESS:8853\"\n";

/// The transports at that address, with an authority in `folder`.
fn setup(address: &str, folder: &Folder) -> Setup {
    let authority = format!("certificate_authority_directory = \"{}\"\n", folder.path().display());
    Setup { dns: PORTS.replace("ADDRESS", address) + &authority, dns_hosts: 2, ..Setup::default() }
}

#[test]
fn up_says_where_everything_of_dns_listens() {
    let folder = Folder::make("encrypted-said");
    let files = Files::write(&setup("127.0.0.1", &folder));
    let mut command = Command::new(binary());
    without_configuration(&mut command);
    // Any port will do: what counts is that each has its line.
    let any = ["dns.dot_listen", "dns.doh_listen", "dns.doq_listen"].map(|key| format!("{key}=127.0.0.1:0"));
    command.args(["up", "--config"]).arg(files.dir()).args(any.iter().flat_map(|set| ["--set", set]));
    let mut up = Background::start(&mut command, &folder.path().join("up.log"));
    until("it says where it listens", Duration::from_secs(20), || {
        up.must_run();
        up.output().contains("Try, in another terminal")
    });
    let said = up.output();
    let line = |start: &str| said.lines().find(|line| line.trim_start().starts_with(start)).unwrap_or_default();
    let both = line("DNS (UDP and TCP)");
    for part in [":5300 and ", ":5300, zone perigee.test"] {
        assert!(both.contains(part), "{part:?} is not in {both:?}");
    }
    for transport in ["DNS over TLS", "DNS over HTTPS", "DNS over QUIC"] {
        assert!(line(transport).contains("127.0.0.1:"), "{transport} is not in:\n{said}");
    }
}

#[test]
fn kdig_trusts_the_local_authority_on_every_encrypted_transport() {
    let folder = Folder::make("encrypted-asked");
    // The stack's addresses are known with the stack alone, so these are of no stack.
    let setup = setup("127.53.8.53", &folder);
    let stack = Stack::with(&setup);
    let authority = format!("+tls-ca={}", folder.path().join("authority.pem").display());
    let ask = |port: &str, words: &[&str]| {
        let mut kdig = program("kdig");
        kdig.args(["@127.53.8.53", "-p", port, "app.perigee.test", &authority]).args(words);
        printed(&mut kdig, Duration::from_secs(20))
    };
    for (port, words, session) in [
        ("8853", &["+tls"][..], "TLS session (TLS1.3)"),
        ("8443", &["+https"], "HTTP session (HTTP/2-POST)"),
        ("8853", &["+quic"], "QUIC session (QUICv1)"),
    ] {
        let said = ask(port, words);
        for part in [session, "status: NOERROR", "ANSWER: 2"] {
            assert!(said.contains(part), "{part:?} is not in:\n{said}");
        }
    }
    // Each counted where it came.
    for transport in ["tls", "https", "quic"] {
        let label = format!("transport=\"{transport}\"");
        assert_eq!(stack.metric("perigee_dns_queries_total", &[&label]), 1.0, "{transport}");
    }
    // Who trusts others is told nothing.
    let stranger = printed(
        program("kdig").args(["@127.53.8.53", "-p", "8853", "app.perigee.test", "+tls", "+tls-ca"]),
        Duration::from_secs(20),
    );
    assert!(!stranger.contains("status: NOERROR"), "{stranger}");
}
