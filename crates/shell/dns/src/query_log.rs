//! A sample of the queries as JSON lines, written beside the answering and never in its way.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use perigee_net::Task;
use prometheus_client::metrics::counter::Counter;
use serde::Serialize;
use tracing::warn;

/// Entries that wait to be written; those beyond are dropped and counted (Perigee's choice: a second's worth of a busy
/// server at the sampling that it needs).
const WAITING: usize = 8_192;

/// Where queries are logged, and how many of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryLog {
    /// A file to append to; `-` is standard output.
    pub path: PathBuf,
    /// One query of so many is logged; 0 is taken as 1, all of them.
    pub sample: u32,
}

/// One query. The client is cut to its network before it gets here (`spec/dns.md` §4.4).
#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    /// Milliseconds since 1970.
    pub(crate) unix_ms: u64,
    pub(crate) transport: &'static str,
    pub(crate) client: String,
    /// As the client wrote it, in presentation form; none if it could not be read.
    pub(crate) name: Option<String>,
    /// The type's number.
    #[serde(rename = "type")]
    pub(crate) qtype: Option<u16>,
    pub(crate) rcode: &'static str,
    /// The region that the answer names.
    pub(crate) region: Option<String>,
    /// The ECS scope; none without a client subnet.
    pub(crate) scope: Option<u8>,
    /// Whether rate limiting kept the answer back or cut it down.
    pub(crate) limited: bool,
    /// How long the answering took.
    pub(crate) microseconds: u64,
}

/// The sending end.
#[derive(Debug)]
pub(crate) struct Log {
    entries: SyncSender<Entry>,
    sample: u32,
    seen: AtomicU32,
    dropped: Counter,
}

impl Log {
    /// Opens the file and starts a thread that writes to it until the log is dropped; `task` lives as long as that.
    ///
    /// Errors: the file cannot be opened, or the thread not started.
    pub(crate) fn start(settings: &QueryLog, dropped: Counter, task: Task) -> io::Result<Self> {
        let out: Box<dyn Write + Send> = if settings.path.as_os_str() == "-" {
            Box::new(io::stdout())
        } else {
            Box::new(OpenOptions::new().create(true).append(true).open(&settings.path)?)
        };
        let (entries, waiting) = sync_channel(WAITING);
        std::thread::Builder::new().name("dns-query-log".into()).spawn(move || {
            if let Err(error) = write(&waiting, out) {
                warn!(%error, "the query log cannot be written; it ends here");
            }
            drop(task);
        })?;
        Ok(Self { entries, sample: settings.sample.max(1), seen: AtomicU32::new(0), dropped })
    }

    /// Logs what `entry` gives, if this query is one of the sample.
    pub(crate) fn log(&self, entry: impl FnOnce() -> Entry) {
        if !self.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.sample) {
            return;
        }
        if self.entries.try_send(entry()).is_err() {
            self.dropped.inc();
        }
    }
}

/// Writes entries until there can be no more; what is written is flushed whenever nothing waits.
fn write(waiting: &Receiver<Entry>, out: Box<dyn Write + Send>) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    loop {
        let entry = match waiting.try_recv() {
            Ok(entry) => entry,
            Err(TryRecvError::Disconnected) => return out.flush(),
            Err(TryRecvError::Empty) => {
                out.flush()?;
                let Ok(entry) = waiting.recv() else { return Ok(()) };
                entry
            }
        };
        serde_json::to_writer(&mut out, &entry)?;
        out.write_all(b"\n")?;
    }
}

/// The network of a client as far as it may be stored: /24 or /48.
pub(crate) fn network_of(client: IpAddr) -> String {
    match client.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            format!("{}/48", std::net::Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(unix_ms: u64) -> Entry {
        Entry {
            unix_ms,
            transport: "udp",
            client: network_of([192, 0, 2, 9].into()),
            name: Some("a\\\"b.test.".into()),
            qtype: Some(1),
            rcode: "NOERROR",
            region: None,
            scope: Some(24),
            limited: false,
            microseconds: 7,
        }
    }

    #[test]
    fn clients_are_cut_to_their_networks() {
        for (client, network) in [
            ("192.0.2.129", "192.0.2.0/24"),
            ("::ffff:192.0.2.129", "192.0.2.0/24"),
            ("2001:db8:1:2:3::4", "2001:db8:1::/48"),
        ] {
            assert_eq!(network_of(client.parse().unwrap()), network);
        }
    }

    #[test]
    fn one_of_so_many_is_logged_and_what_does_not_fit_is_dropped_and_counted() {
        let (entries, waiting) = sync_channel(2);
        let dropped = Counter::default();
        let log = Log { entries, sample: 3, seen: AtomicU32::new(0), dropped: dropped.clone() };
        for i in 0..12 {
            log.log(|| entry(i));
        }
        let logged: Vec<u64> = waiting.try_iter().map(|entry| entry.unix_ms).collect();
        assert_eq!((logged, dropped.get()), (vec![0, 3], 2));
    }

    #[test]
    fn an_entry_is_a_line_of_json() {
        let (entries, waiting) = sync_channel(2);
        entries.send(entry(5)).unwrap();
        drop(entries);
        let (reader, writer) = io::pipe().unwrap();
        write(&waiting, Box::new(writer)).unwrap();
        let line = io::read_to_string(reader).unwrap();
        let value: serde_json::Value = serde_json::from_str(line.trim_end()).unwrap();
        assert_eq!(line.matches('\n').count(), 1);
        assert_eq!((&value["client"], &value["type"]), (&"192.0.2.0/24".into(), &1.into()));
        assert_eq!((&value["name"], &value["scope"]), (&"a\\\"b.test.".into(), &24.into()));
    }
}
