use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use perigee_flow_log::REPORT_EVERY;
use perigee_net::Shutdown;
use tokio::io::{AsyncWriteExt, ErrorKind};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::Side;

/// Bytes moved at once. A buffer exists only while bytes are in it, so that an idle flow holds none.
const CHUNK: usize = 32 * 1024;

/// How a joined flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Both sides finished.
    Closed,
    /// Nothing moved for the idle time-out.
    Idle,
    /// This side reset or broke; the other is to be reset.
    Broken(Side),
}

/// What a joined flow has moved so far.
#[derive(Debug, Default)]
pub(crate) struct Payload {
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

impl Payload {
    /// Bytes towards the endpoint.
    pub(crate) fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Ordering::Relaxed)
    }

    /// Bytes towards the client.
    pub(crate) fn bytes_out(&self) -> u64 {
        self.bytes_out.load(Ordering::Relaxed)
    }
}

/// A client that has not answered the endpoint's FIN by then does not hold the drain up (Perigee's choice).
const LAZY_CLIENT: Duration = Duration::from_secs(1);

/// Joins two connections until both directions are finished, one breaks, or no payload moved for `idle`. While
/// `shutdown` drains, an endpoint's end is the flow's end a second later, whatever the client does.
///
/// A FIN of one side is passed on and the other direction goes on (half-close). TCP keep-alives are not payload. What
/// moves is in `payload` as it does, and `report` is called with the client's connection once in every capture window.
///
/// Source: Global Accelerator developer guide, "Idle timeout"; `global-accelerator.md` section 10.
pub(crate) async fn relay(
    client: &mut TcpStream,
    endpoint: &mut TcpStream,
    idle: Duration,
    shutdown: &Shutdown,
    payload: &Payload,
    mut report: impl FnMut(&TcpStream),
) -> End {
    let start = Instant::now();
    let activity = Activity { start, last_ns: AtomicU64::new(0) };
    let endpoint_ended = Notify::new();
    let (client_read, client_write) = client.split();
    let (endpoint_read, endpoint_write) = endpoint.split();
    let both = async {
        let sides = (Side::Client, Side::Endpoint);
        tokio::try_join!(pump(&client_read, endpoint_write, sides, &activity, &payload.bytes_in), async {
            let sides = (Side::Endpoint, Side::Client);
            let done = pump(&endpoint_read, client_write, sides, &activity, &payload.bytes_out).await;
            endpoint_ended.notify_one();
            done
        },)
    };
    let reports = async {
        loop {
            tokio::time::sleep(REPORT_EVERY).await;
            report(client_read.as_ref());
        }
    };
    let lazy = async {
        endpoint_ended.notified().await;
        shutdown.draining().await;
        tokio::time::sleep(LAZY_CLIENT).await;
    };
    let quiet = async {
        loop {
            let until = activity.last() + idle;
            if Instant::now() >= until {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    };
    tokio::select! {
        done = both => done.map_or_else(End::Broken, |_| End::Closed),
        () = quiet => End::Idle,
        () = lazy => End::Closed,
        () = reports => End::Closed,
    }
}

/// When payload last moved.
struct Activity {
    start: Instant,
    last_ns: AtomicU64,
}

impl Activity {
    fn note(&self) {
        let ns = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.last_ns.store(ns, Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.start + Duration::from_nanos(self.last_ns.load(Ordering::Relaxed))
    }
}

/// Moves one direction until its end; the error is the side that broke.
async fn pump(
    from: &ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    (source, sink): (Side, Side),
    activity: &Activity,
    moved: &AtomicU64,
) -> Result<(), Side> {
    loop {
        from.readable().await.map_err(|_| source)?;
        let mut chunk = vec![0; CHUNK];
        loop {
            match from.try_read(&mut chunk) {
                Ok(0) => return to.shutdown().await.map_err(|_| sink),
                Ok(n) => {
                    activity.note();
                    to.write_all(&chunk[..n]).await.map_err(|_| sink)?;
                    moved.fetch_add(n as u64, Ordering::Relaxed);
                    activity.note();
                    if n < CHUNK {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return Err(source),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let near = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("a connect");
        (near, listener.accept().await.expect("an accept").0)
    }

    #[tokio::test]
    async fn a_half_closed_client_still_gets_its_answer() {
        let (mut client, mut edge_client) = pair().await;
        let (mut edge_endpoint, mut endpoint) = pair().await;
        let relay = tokio::spawn(async move {
            let (payload, shutdown) = (Payload::default(), Shutdown::new());
            let idle = Duration::from_secs(60);
            let end = relay(&mut edge_client, &mut edge_endpoint, idle, &shutdown, &payload, |_| {}).await;
            (end, payload.bytes_in(), payload.bytes_out())
        });
        client.write_all(b"question").await.expect("sent");
        client.shutdown().await.expect("half closed");
        let mut question = String::new();
        endpoint.read_to_string(&mut question).await.expect("read to the end");
        endpoint.write_all(b"the answer").await.expect("sent");
        drop(endpoint);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("read to the end");
        assert_eq!((question.as_str(), answer.as_str()), ("question", "the answer"));
        assert_eq!(relay.await.expect("joined"), (End::Closed, 8, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_answers_a_fin_does_not_hold_the_drain_up() {
        let (_client, mut edge_client) = pair().await;
        let (mut edge_endpoint, endpoint) = pair().await;
        let shutdown = Shutdown::new();
        drop(endpoint);
        let (payload, idle) = (Payload::default(), Duration::from_secs(340));
        let mut relay = std::pin::pin!(relay(&mut edge_client, &mut edge_endpoint, idle, &shutdown, &payload, |_| {}));
        let early = tokio::time::timeout(Duration::from_secs(60), &mut relay).await;
        assert!(early.is_err(), "half-closed flows live on while nothing drains");
        shutdown.begin();
        assert_eq!(relay.await, End::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flow_without_payload_ends_after_the_idle_time_out() {
        let (_client, mut edge_client) = pair().await;
        let (mut edge_endpoint, _endpoint) = pair().await;
        let (shutdown, payload, mut reports) = (Shutdown::new(), Payload::default(), 0);
        let idle = Duration::from_secs(340);
        let end = relay(&mut edge_client, &mut edge_endpoint, idle, &shutdown, &payload, |_| reports += 1).await;
        assert_eq!((end, reports), (End::Idle, 6), "a report every 50 seconds");
    }
}
