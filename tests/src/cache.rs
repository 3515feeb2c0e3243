//! Resolvers of others, with their caches, in front of a stack's DNS.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use crate::ask::{A, Asker, Question};
use crate::program::{Background, Folder, program};
use crate::wait::until;

/// How long a resolver may take to answer its first question.
const START: Duration = Duration::from_secs(10);

/// Whose cache it is, and how it treats a TTL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Debian's unbound. Whatever is not said is as it comes.
    Unbound(Manner),
    /// Debian's dnsmasq.
    Dnsmasq(Manner),
}

/// What a resolver's operator has chosen about TTLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// The TTL of the answer.
    Plain,
    /// At least so many seconds.
    AtLeast(u32),
    /// The TTL, and what is older is answered once more, at once, while it is fetched anew.
    Stale,
    /// The TTL, and what is older is answered only when no fresh answer came within 1.8 s (RFC 8767 section 5);
    /// unbound alone has it.
    StaleInNeed,
}

impl Kind {
    /// As a person would call it.
    pub fn name(&self) -> String {
        let (program, manner) = match self {
            Self::Unbound(manner) => ("unbound", manner),
            Self::Dnsmasq(manner) => ("dnsmasq", manner),
        };
        match manner {
            Manner::Plain => program.to_owned(),
            Manner::AtLeast(seconds) => format!("{program}, TTL at least {seconds} s"),
            Manner::Stale => format!("{program}, expired answers at once"),
            Manner::StaleInNeed => format!("{program}, expired answers in need"),
        }
    }

    /// How long it may take an answer of `ttl_s` for fresh, seconds.
    pub fn lifetime_s(&self, ttl_s: u32) -> u32 {
        let (Self::Unbound(manner) | Self::Dnsmasq(manner)) = self;
        match manner {
            Manner::AtLeast(least) => ttl_s.max(*least),
            _ => ttl_s,
        }
    }
}

/// A resolver that runs. Dropping it ends its process.
#[derive(Debug)]
pub struct Cache {
    process: Background,
    folder: Folder,
    /// Where it answers.
    pub address: SocketAddr,
}

impl Cache {
    /// Starts one at `address` that asks `server` about `zone`, from the address `source`, and waits until it resolves
    /// `name`.
    ///
    /// It uses no file of the system. Panics when the program is missing or does not answer, with its log.
    pub fn start(kind: Kind, address: SocketAddr, zone: &str, server: SocketAddr, source: IpAddr, name: &str) -> Self {
        let folder = Folder::make(&format!("cache-{}-{}", address.ip(), address.port()));
        let mut command = match kind {
            Kind::Unbound(manner) => unbound(&folder, manner, address, zone, server, source),
            Kind::Dnsmasq(manner) => dnsmasq(manner, address, zone, server, source),
        };
        let process = Background::start(&mut command, &folder.path().join("log"));
        let mut cache = Self { process, folder, address };
        let question = Question { name: name.to_owned(), qtype: A, recursion: true, subnet: None };
        until(&format!("{} resolves {name}", kind.name()), START, || {
            cache.process.must_run();
            let reply = Asker::new(source, address).ask(&question, Duration::from_millis(500));
            reply.is_some_and(|reply| !reply.addresses.is_empty())
        });
        cache
    }

    /// What it printed so far, and where it kept its files.
    pub fn log(&self) -> String {
        format!("{}: {}", self.folder.path().display(), self.process.output())
    }
}

fn unbound(
    folder: &Folder,
    manner: Manner,
    address: SocketAddr,
    zone: &str,
    server: SocketAddr,
    source: IpAddr,
) -> Command {
    let manner = match manner {
        Manner::Plain => String::new(),
        Manner::AtLeast(seconds) => format!("cache-min-ttl: {seconds}"),
        Manner::Stale => "serve-expired: yes\n serve-expired-client-timeout: 0".to_owned(),
        Manner::StaleInNeed => "serve-expired: yes\n serve-expired-client-timeout: 1800".to_owned(),
    };
    // `test.` is a zone that unbound denies by itself, and a loopback server one that it does not ask, unless told so.
    let text = format!(
        "server:\n interface: {}\n port: {}\n outgoing-interface: {source}\n access-control: 127.0.0.0/8 allow\n \
         do-daemonize: no\n username: \"\"\n chroot: \"\"\n directory: \"{}\"\n pidfile: \"\"\n use-syslog: no\n \
         logfile: \"\"\n num-threads: 1\n do-ip6: no\n module-config: \"iterator\"\n do-not-query-localhost: no\n \
         local-zone: \"{zone}.\" nodefault\n local-zone: \"test.\" nodefault\n {manner}\n\
         remote-control:\n control-enable: no\n\
         stub-zone:\n name: \"{zone}.\"\n stub-addr: {}@{}\n",
        address.ip(),
        address.port(),
        folder.path().display(),
        server.ip(),
        server.port(),
    );
    let mut command = program("unbound");
    command.args(["-d", "-c"]).arg(folder.write("unbound.conf", &text));
    command
}

fn dnsmasq(manner: Manner, address: SocketAddr, zone: &str, server: SocketAddr, source: IpAddr) -> Command {
    let mut command = program("dnsmasq");
    command.args(["--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--no-poll", "--pid-file="]);
    command.args(["--bind-interfaces", "--cache-size=1000"]);
    command.arg(format!("--listen-address={}", address.ip())).arg(format!("--port={}", address.port()));
    command.arg(format!("--server=/{zone}/{}#{}@{source}", server.ip(), server.port()));
    match manner {
        Manner::Plain => &mut command,
        Manner::AtLeast(seconds) => command.arg(format!("--min-cache-ttl={seconds}")),
        Manner::Stale => command.arg("--use-stale-cache"),
        Manner::StaleInNeed => panic!("dnsmasq has no time-out for expired answers"),
    };
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_least_ttl_is_all_that_lengthens_a_life() {
        for (kind, lives_s) in [
            (Kind::Unbound(Manner::Plain), [5, 30]),
            (Kind::Unbound(Manner::AtLeast(10)), [10, 30]),
            (Kind::Dnsmasq(Manner::AtLeast(40)), [40, 40]),
            (Kind::Dnsmasq(Manner::Stale), [5, 30]),
        ] {
            assert_eq!([5, 30].map(|ttl_s| kind.lifetime_s(ttl_s)), lives_s, "{}", kind.name());
        }
    }
}
