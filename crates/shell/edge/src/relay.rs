use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use perigee_net::Shutdown;
use tokio::io::{AsyncWriteExt, ErrorKind};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Bytes moved at once. A buffer exists only while bytes are in it, so that an idle flow holds none.
const CHUNK: usize = 32 * 1024;

/// How a joined flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Both sides finished.
    Closed,
    /// Nothing moved for the idle time-out.
    Idle,
    /// One side reset or broke; the other is to be reset.
    Broken,
}

/// What a joined flow moved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Relayed {
    pub(crate) end: End,
    /// Towards the endpoint.
    pub(crate) bytes_in: u64,
    /// Towards the client.
    pub(crate) bytes_out: u64,
}

/// A client that has not answered the endpoint's FIN by then does not hold the drain up (Perigee's choice).
const LAZY_CLIENT: Duration = Duration::from_secs(1);

/// Joins two connections until both directions are finished, one breaks, or no payload moved for `idle`. While
/// `shutdown` drains, an endpoint's end is the flow's end a second later, whatever the client does.
///
/// A FIN of one side is passed on and the other direction goes on (half-close). TCP keep-alives are not payload.
///
/// Source: Global Accelerator developer guide, "Idle timeout"; `global-accelerator.md` section 10.
pub(crate) async fn relay(
    client: &mut TcpStream,
    endpoint: &mut TcpStream,
    idle: Duration,
    shutdown: &Shutdown,
) -> Relayed {
    let start = Instant::now();
    let activity = Activity { start, last_ns: AtomicU64::new(0) };
    let (bytes_in, bytes_out) = (AtomicU64::new(0), AtomicU64::new(0));
    let endpoint_ended = Notify::new();
    let (client_read, client_write) = client.split();
    let (endpoint_read, endpoint_write) = endpoint.split();
    let both = async {
        tokio::try_join!(pump(client_read, endpoint_write, &activity, &bytes_in), async {
            let done = pump(endpoint_read, client_write, &activity, &bytes_out).await;
            endpoint_ended.notify_one();
            done
        },)
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
    let end = tokio::select! {
        done = both => if done.is_ok() { End::Closed } else { End::Broken },
        () = quiet => End::Idle,
        () = lazy => End::Closed,
    };
    Relayed { end, bytes_in: bytes_in.into_inner(), bytes_out: bytes_out.into_inner() }
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

async fn pump(from: ReadHalf<'_>, mut to: WriteHalf<'_>, activity: &Activity, moved: &AtomicU64) -> io::Result<()> {
    loop {
        from.readable().await?;
        let mut chunk = vec![0; CHUNK];
        loop {
            match from.try_read(&mut chunk) {
                Ok(0) => return to.shutdown().await,
                Ok(n) => {
                    activity.note();
                    to.write_all(&chunk[..n]).await?;
                    moved.fetch_add(n as u64, Ordering::Relaxed);
                    activity.note();
                    if n < CHUNK {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
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
            relay(&mut edge_client, &mut edge_endpoint, Duration::from_secs(60), &Shutdown::new()).await
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
        let relayed = relay.await.expect("joined");
        assert_eq!((relayed.end, relayed.bytes_in, relayed.bytes_out), (End::Closed, 8, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_answers_a_fin_does_not_hold_the_drain_up() {
        let (_client, mut edge_client) = pair().await;
        let (mut edge_endpoint, endpoint) = pair().await;
        let shutdown = Shutdown::new();
        drop(endpoint);
        let mut relay =
            std::pin::pin!(relay(&mut edge_client, &mut edge_endpoint, Duration::from_secs(340), &shutdown));
        let early = tokio::time::timeout(Duration::from_secs(60), &mut relay).await;
        assert!(early.is_err(), "half-closed flows live on while nothing drains");
        shutdown.begin();
        assert_eq!(relay.await.end, End::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flow_without_payload_ends_after_the_idle_time_out() {
        let (_client, mut edge_client) = pair().await;
        let (mut edge_endpoint, _endpoint) = pair().await;
        let relayed = relay(&mut edge_client, &mut edge_endpoint, Duration::from_secs(340), &Shutdown::new()).await;
        assert_eq!(relayed.end, End::Idle);
    }
}
