//! When clients behind caches learn of a failover: a region dies and comes back, and every cache is asked all along.
//!
//! Each cache is asked for several names, whose answers came into it at different times, so one failover gives many
//! samples of what is left of a TTL.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::ask::{A, Asker, Question, Reply};
use crate::cache::{Cache, Kind};
use crate::stack::{SEOUL, Setup, Stack};
use crate::wait::{unix_ms, until};

/// Names asked for; their entries in a cache are spread over the life of one.
const NAMES: usize = 10;
/// Between two questions of one client about one name.
const EVERY: Duration = Duration::from_millis(100);
/// How long a client waits for an answer. Longer than RFC 8767's 1.8 s.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a dead region may take to be noticed, or a restored one to be healthy again.
const DETECTION: Duration = Duration::from_secs(40);
/// Where the clients and resolvers are: addresses of Seoul's prefix.
const SEOUL_PREFIX: [u8; 3] = [127, 82, 200];

/// What one cache, or the server itself, made of it.
#[derive(Clone, Debug)]
pub struct Course {
    /// Whose cache; none: the server was asked itself.
    pub kind: Option<Kind>,
    /// From the kill to the first answer of the other region, by name, milliseconds.
    pub away_ms: Vec<u64>,
    /// From the server's own return to Seoul to that of the cache's answer, by name, milliseconds.
    pub back_ms: Vec<u64>,
    /// Questions without an address in the answer.
    pub failed: u64,
    /// Whether a client that asked again only long after the TTL was still sent to the dead region.
    pub stale_after_pause: bool,
}

/// One failover.
#[derive(Clone, Debug)]
pub struct Failover {
    /// From the kill to the change of the server's own answer, milliseconds: detection and publication.
    pub detect_ms: u64,
    /// TTL of the answers, all well, seconds.
    pub ttl_s: u32,
    /// TTL while the region was down, as the server said it, seconds.
    pub degraded_ttl_s: u32,
    /// The server itself first, then the caches as they were given.
    pub courses: Vec<Course>,
}

/// What is known of one name behind one cache so far.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// Milliseconds since 1970 of the first answer, of the first of the other region, and of the first of Seoul again.
    first: Option<u64>,
    away: Option<u64>,
    back: Option<u64>,
    ttl_s: u32,
    away_ttl_s: u32,
    failed: u64,
}

type Shared = Arc<Mutex<Vec<Seen>>>;

/// Plays a failover of Seoul with answers of `ttl_s`, seen through one cache of each of `kinds`.
///
/// Seoul dies `later` than it could, so that several runs meet health samples and caches at other moments. Panics when a cache does not follow, long after it should have.
pub fn play(kinds: &[Kind], ttl_s: u32, later: Duration) -> Failover {
    let mut tables = String::new();
    for name in names().chain(["pause".to_owned()]) {
        tables +=
            &format!("[dns.names.{name}]\npolicy = \"latency\"\nload_balancer = \"shop\"\nttl_seconds = {ttl_s}\n");
    }
    let stack = Stack::with(&Setup { tables, ..Setup::default() });
    let server = stack.slot().dns();
    let dead: Vec<IpAddr> = [1, 3].map(|zone| stack.slot().node(82, zone).ip()).to_vec();
    let hosts = (20_u8..).map(|host| IpAddr::from([SEOUL_PREFIX[0], SEOUL_PREFIX[1], SEOUL_PREFIX[2], host]));
    let caches: Vec<Cache> = (1..)
        .zip(kinds.iter().zip(hosts))
        .map(|(n, (kind, source))| {
            let address = SocketAddr::new(stack.slot().address(61, n), 5_353);
            Cache::start(*kind, address, "perigee.test", server, source, "ns1.perigee.test")
        })
        .collect();

    let stop = Arc::new(AtomicBool::new(false));
    let asked = [None].into_iter().chain(kinds.iter().copied().map(Some));
    let addresses = [server].into_iter().chain(caches.iter().map(|cache| cache.address));
    let clients: Vec<_> = asked
        .zip(addresses)
        .map(|(kind, address)| {
            let seen: Shared = Arc::new(Mutex::new(vec![Seen::default(); NAMES]));
            let lifetime = Duration::from_secs(kind.map_or(1, |kind| kind.lifetime_s(ttl_s)).into());
            let client = Client { address, dead: dead.clone(), lifetime, seen: seen.clone(), stop: stop.clone() };
            (kind, address, seen, std::thread::spawn(move || client.run()))
        })
        .collect();
    for (_, address, ..) in &clients {
        assert!(ask(*address, "pause").is_some(), "no answer from {address}");
    }

    let longest = kinds.iter().map(|kind| kind.lifetime_s(ttl_s)).max().unwrap_or(0);
    // Whole seconds that a cache rounds up to, and the client's own steps.
    let limit = Duration::from_secs(u64::from(longest) + 10);
    let all = |holds: fn(&Seen) -> bool| clients.iter().all(|(_, _, seen, _)| lock(seen).iter().all(holds));
    until("every name was asked for", limit, || all(|seen| seen.first.is_some()));
    std::thread::sleep(later);
    let killed = stack.kill(SEOUL, "crash");
    let direct = |of: fn(&Seen) -> Option<u64>| lock(&clients[0].2).iter().map(of).collect::<Option<Vec<u64>>>();
    until("the server's answer has changed", DETECTION, || direct(|seen| seen.away).is_some());
    let left = direct(|seen| seen.away).and_then(|all| all.into_iter().min()).unwrap_or(killed);
    until("the answers of all caches have changed", limit, || all(|seen| seen.away.is_some()));
    // A cache that counts whole seconds may take an answer for fresh a second longer.
    let expired = left + 1_000 * (u64::from(longest) + 2);
    until("the answers from before have expired", limit, || unix_ms() > expired);
    let paused: Vec<Option<Reply>> = clients.iter().map(|(_, address, ..)| ask(*address, "pause")).collect();
    let is_dead = |reply: &Option<Reply>| reply.as_ref().is_none_or(|r| r.addresses.iter().any(|a| dead.contains(a)));
    let stale: Vec<bool> = paused.iter().map(is_dead).collect();

    stack.restore(SEOUL);
    until("the server's answer is as before", DETECTION, || direct(|seen| seen.back).is_some());
    let home = direct(|seen| seen.back).and_then(|all| all.into_iter().min()).unwrap_or(killed);
    until("the answers of all caches are as before", limit, || all(|seen| seen.back.is_some()));
    stop.store(true, Ordering::Relaxed);

    let (mut ttls_s, mut courses) = ((0, 0), Vec::new());
    for ((kind, _, seen, thread), stale_after_pause) in clients.into_iter().zip(stale) {
        let ended = thread.join();
        assert!(ended.is_ok(), "a client panicked");
        let seen = lock(&seen);
        if kind.is_none() {
            ttls_s = (seen[0].ttl_s, seen[0].away_ttl_s);
        }
        let since = |start: u64, of: fn(&Seen) -> Option<u64>| -> Vec<u64> {
            seen.iter().map(|seen| of(seen).unwrap_or(u64::MAX).saturating_sub(start)).collect()
        };
        courses.push(Course {
            kind,
            away_ms: since(killed, |seen| seen.away),
            back_ms: since(home, |seen| seen.back),
            failed: seen.iter().map(|seen| seen.failed).sum(),
            stale_after_pause,
        });
    }
    let (ttl_s, degraded_ttl_s) = ttls_s;
    Failover { detect_ms: left - killed, ttl_s, degraded_ttl_s, courses }
}

fn names() -> impl Iterator<Item = String> {
    (0..NAMES).map(|n| format!("app{n}"))
}

fn lock(seen: &Shared) -> std::sync::MutexGuard<'_, Vec<Seen>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn question(label: &str) -> Question {
    Question { name: format!("{label}.perigee.test"), qtype: A, recursion: true, subnet: None }
}

fn client_address() -> IpAddr {
    IpAddr::from([SEOUL_PREFIX[0], SEOUL_PREFIX[1], SEOUL_PREFIX[2], 10])
}

fn ask(address: SocketAddr, label: &str) -> Option<Reply> {
    Asker::new(client_address(), address).ask(&question(label), PATIENCE)
}

/// A client that asks one cache for all names, over and over.
struct Client {
    address: SocketAddr,
    dead: Vec<IpAddr>,
    /// How long an entry lives in this cache; the names' first questions are spread over it.
    lifetime: Duration,
    seen: Shared,
    stop: Arc<AtomicBool>,
}

impl Client {
    fn run(&self) {
        let mut asker = Asker::new(client_address(), self.address);
        let questions: Vec<Question> = names().map(|name| question(&name)).collect();
        let began = Instant::now();
        let mut due: Vec<Duration> = (0..NAMES as u32).map(|n| self.lifetime * n / NAMES as u32).collect();
        while !self.stop.load(Ordering::Relaxed) {
            // The schedule itself is what is measured with; there is no state to wait for.
            let Some((n, at)) = due.iter().copied().enumerate().min_by_key(|(_, at)| *at) else { return };
            std::thread::sleep(at.saturating_sub(began.elapsed()));
            let reply = asker.ask(&questions[n], PATIENCE);
            self.note(n, reply);
            due[n] = (at + EVERY).max(began.elapsed());
        }
    }

    fn note(&self, n: usize, reply: Option<Reply>) {
        let now = unix_ms();
        let seen = &mut lock(&self.seen)[n];
        let Some(reply) = reply.filter(|reply| !reply.addresses.is_empty()) else {
            seen.failed += 1;
            return;
        };
        let ttl_s = reply.ttl_s.unwrap_or(0);
        let is_seoul = reply.addresses.iter().all(|address| self.dead.contains(address));
        seen.first.get_or_insert(now);
        match (is_seoul, seen.away) {
            (true, None) => seen.ttl_s = seen.ttl_s.max(ttl_s),
            (true, Some(_)) => {
                seen.back.get_or_insert(now);
            }
            (false, _) => {
                seen.away.get_or_insert(now);
                seen.away_ttl_s = seen.away_ttl_s.max(ttl_s);
            }
        }
    }
}
