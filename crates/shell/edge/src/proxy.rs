mod listening;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use perigee_model::Snapshot;
use perigee_net::{Clock, Crossings, Gate, Shutdown};
use serde::Serialize;

use crate::count::Count;
use crate::hosts::PopHosts;
use crate::shares::Shares;
use crate::tcp::{Command, Common, Mailbox, Worker};
use crate::{Front, Metrics};
use listening::Listening;

/// What an edge proxy is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProxyStatus {
    /// Flows open now.
    pub active_flows: u32,
    /// Where it listens.
    pub listening: Vec<SocketAddr>,
    /// Flows joined within the last ten seconds, by region.
    pub new_flows_10s: BTreeMap<String, u64>,
}

/// The edge proxy: listeners on the accelerators' static addresses and the flows that came in by them.
///
/// It is the handle of a thread per core, each of which accepts, dials and relays by itself; dropping it ends them, and
/// what they hold is closed.
#[derive(Debug)]
pub struct Proxy {
    common: Arc<Common>,
    workers: Vec<Arc<Mailbox>>,
    listening: Mutex<Listening>,
}

impl Proxy {
    /// Starts listening on every address and port of the accelerators of the front tier's snapshot. Second connections
    /// are noted in `crossings`, for load balancer nodes of the same process.
    ///
    /// Errors: an address cannot be bound, which the error names; the listeners are more than this process may open
    /// files; no thread can be started.
    pub async fn start(
        front: Arc<Front>,
        hosts: Arc<PopHosts>,
        crossings: Crossings,
        metrics: Metrics,
        clock: Clock,
        shutdown: Shutdown,
    ) -> io::Result<Arc<Self>> {
        let snapshot = front.view().snapshot.clone();
        let gate = Gate::new(snapshot.settings.limits.edge_flows, metrics.limit("edge_flows"));
        let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let common = Arc::new(Common {
            front,
            hosts,
            crossings,
            metrics,
            clock,
            shutdown: shutdown.clone(),
            gate,
            shares: Shares::new(count),
            connecting: Count::default(),
            accepting: Count::default(),
        });
        let mut proxy = Self { common, workers: Vec::new(), listening: Mutex::default() };
        for number in 0..count {
            let mailbox = Mailbox::new()?;
            let worker = Worker::new(proxy.common.clone(), number, mailbox.clone())?;
            proxy.common.accepting.enter();
            proxy.workers.push(mailbox);
            std::thread::Builder::new().name(format!("edge-tcp-{number}")).spawn(move || worker.run())?;
        }
        proxy.listen(&snapshot).await?;
        let workers = proxy.workers.clone();
        tokio::spawn(async move {
            shutdown.draining().await;
            workers.iter().for_each(|worker| worker.send(Command::Drain));
        });
        Ok(Arc::new(proxy))
    }

    /// Follows a new snapshot: listens where it now says, stops listening where it no longer does.
    ///
    /// Flows stay, except those of an address or port that is no longer listened on, because it was removed or its
    /// accelerator disabled: they are reset (`global-accelerator.md` sections 2.3, 3 and 10).
    ///
    /// Errors: a new address cannot be bound; what could be bound is listened on.
    pub async fn set_snapshot(&self, snapshot: &Snapshot) -> io::Result<()> {
        self.common.gate.set_limit(snapshot.settings.limits.edge_flows);
        self.listen(snapshot).await
    }

    /// What it is doing.
    pub fn status(&self) -> ProxyStatus {
        ProxyStatus {
            active_flows: self.common.gate.inside(),
            listening: self.listening.lock().unwrap_or_else(PoisonError::into_inner).addresses(),
            new_flows_10s: self.common.shares.last_ten_seconds(self.common.clock.now()),
        }
    }

    /// Waits until no listener accepts any more, once the shutdown has begun.
    pub async fn listeners_closed(&self) {
        self.common.accepting.until_none().await;
    }

    /// Waits until every accepted flow is joined to its endpoint or refused: from then on the regions may drain.
    pub async fn connected(&self) {
        self.common.connecting.until_none().await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.workers.iter().for_each(|worker| worker.stop());
    }
}
