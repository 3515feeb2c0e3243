//! Zonemaster, which judges zones by the RFCs from the root down, wholly offline: the root, the parent zone and the
//! reverse zone are an unbound with zone files of its own.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use serde_json::Value;

use crate::ask::{A, Asker, Question};
use crate::program::{Background, Folder, printed, program};
use crate::slot::Slot;
use crate::wait::until;

/// The only port that Zonemaster asks.
pub const PORT: u16 = 53;
/// How long the root may take to answer.
const START: Duration = Duration::from_secs(10);
/// How long one judgement may take.
const LIMIT: Duration = Duration::from_secs(60);

/// One thing that Zonemaster says.
#[derive(Clone, Debug)]
pub struct Finding {
    /// `INFO`, `NOTICE`, `WARNING`, `ERROR` or `CRITICAL`.
    pub level: String,
    /// What, such as `NOT_ENOUGH_NS_DEL`.
    pub tag: String,
    /// Which of its test cases says so.
    pub testcase: String,
    /// About whom.
    pub about: String,
}

impl Finding {
    /// Whether it is a warning or worse.
    pub fn is_grave(&self) -> bool {
        matches!(self.level.as_str(), "WARNING" | "ERROR" | "CRITICAL")
    }
}

/// Judges `zone`, directly below `test.`, whose name servers are `servers`: labels below the zone, and addresses that
/// answer at port 53.
///
/// `at_parent` holds more lines of the parent's zone file, such as DS records. Takes addresses of `slot` in the networks
/// 54 and 55. Panics when a program is missing, when port 53 may not be used, or when Zonemaster says nothing.
pub fn judge(slot: &Slot, zone: &str, servers: &[(&str, IpAddr)], at_parent: &str) -> Vec<Finding> {
    let child = zone.strip_suffix(".test").unwrap_or_else(|| panic!("{zone} is not below test."));
    let (root, parent) = (slot.address(54, 1), slot.address(55, 1));
    let folder = Folder::make(&format!("zonemaster-{root}"));
    let delegation =
        |(label, address): &(&str, IpAddr)| format!("{child}.test. NS {label}.{zone}.\n{label}.{zone}. A {address}\n");
    let delegation: String = servers.iter().map(delegation).collect();
    let reverse = |(label, address): &(&str, IpAddr)| {
        let octets = address.to_string();
        let reversed: Vec<&str> = octets.rsplit('.').collect();
        format!("{}.in-addr.arpa. PTR {label}.{zone}.\n", reversed.join("."))
    };
    let reverse: String = servers.iter().map(reverse).collect();
    let soa = "SOA a.root. hostmaster.root. 1 14400 3600 1209600 3600";
    let zones = [
        (".", format!(". {soa}\n. NS a.root.\na.root. A {root}\ntest. NS ns.nic.test.\nns.nic.test. A {parent}\n")),
        ("test.", format!("test. {soa}\ntest. NS ns.nic.test.\nns.nic.test. A {parent}\n{delegation}{at_parent}\n")),
        ("in-addr.arpa.", format!("in-addr.arpa. {soa}\nin-addr.arpa. NS a.root.\n{reverse}")),
    ];
    let mut text = format!(
        "server:\n interface: {root}\n interface: {parent}\n port: {PORT}\n access-control: 127.0.0.0/8 allow\n \
         do-daemonize: no\n username: \"\"\n chroot: \"\"\n directory: \"{}\"\n pidfile: \"\"\n use-syslog: no\n \
         logfile: \"\"\n do-ip6: no\n module-config: \"iterator\"\n local-zone: \"test.\" nodefault\n \
         local-zone: \"127.in-addr.arpa.\" nodefault\nremote-control:\n control-enable: no\n",
        folder.path().display()
    );
    for (n, (name, records)) in zones.iter().enumerate() {
        let file = folder.write(&format!("{n}.zone"), &format!("$TTL 3600\n{records}"));
        text += &format!(
            "auth-zone:\n name: \"{name}\"\n zonefile: \"{}\"\n for-downstream: yes\n for-upstream: no\n \
             fallback-enabled: no\n",
            file.display()
        );
    }
    let mut unbound = program("unbound");
    unbound.args(["-d", "-c"]).arg(folder.write("unbound.conf", &text));
    let mut unbound = Background::start(&mut unbound, &folder.path().join("log"));
    let question = Question { name: "a.root.".to_owned(), qtype: A, recursion: false, subnet: None };
    until("the root answers", START, || {
        unbound.must_run();
        let reply = Asker::new(root, SocketAddr::new(root, PORT)).ask(&question, Duration::from_millis(500));
        reply.is_some_and(|reply| reply.addresses == [root])
    });

    let hints = folder.write("hints", &format!(". 3600000 NS a.root.\na.root. 3600000 A {root}\n"));
    let mut judge = program("zonemaster-cli");
    judge.args(["--no-ipv6", "--level=INFO", "--json-stream", "--no-json-translate", "--hints"]).arg(hints).arg(zone);
    let text = printed(&mut judge, LIMIT);
    let findings: Vec<Finding> = text.lines().filter_map(|line| read(&serde_json::from_str(line).ok()?)).collect();
    assert!(!findings.is_empty(), "Zonemaster says nothing: {text}{}", unbound.output());
    findings
}

fn read(line: &Value) -> Option<Finding> {
    let text = |key: &str| Some(line.get(key)?.as_str()?.to_owned());
    let testcase = text("testcase").unwrap_or_default();
    Some(Finding { level: text("level")?, tag: text("tag")?, testcase, about: line["args"].to_string() })
}

/// Panics unless this process may serve port 53, which takes root or a sysctl.
pub fn port_is_allowed() {
    let slot = Slot::take();
    let address = SocketAddr::new(slot.address(54, 2), PORT);
    if let Err(error) = UdpSocket::bind(address) {
        panic!("{address}: {error}; run as root, or with the sysctl net.ipv4.ip_unprivileged_port_start at {PORT}");
    }
}
