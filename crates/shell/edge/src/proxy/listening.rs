//! Which addresses and ports are listened on, and by which worker.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::PoisonError;

use nix::sys::resource::{Resource, getrlimit};
use perigee_model::{Snapshot, TransportProtocol};
use tokio::sync::mpsc;
use tracing::info;

use super::Proxy;
use crate::tcp::{Command, Listener, sockets_of};

/// Up to so many addresses and ports each worker has a socket of each of them, so that the kernel spreads their clients
/// over the cores. With more, each has one worker: a range of thousands of ports costs a socket a port.
const SHARED_MAX: usize = 64;
/// Open files that are left for everything else when listeners are counted against the process's limit.
const OTHER_FILES: u64 = 256;

/// What is listened on.
#[derive(Debug, Default)]
pub(super) struct Listening {
    /// How many sockets each address and port has.
    addresses: BTreeMap<SocketAddr, usize>,
}

impl Listening {
    /// Every address and port, in order.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.keys().copied().collect()
    }
}

impl Proxy {
    /// Closes what the snapshot no longer has, then opens what it has.
    pub(super) async fn listen(&self, snapshot: &Snapshot) -> io::Result<()> {
        let wanted = wanted(snapshot);
        let (gone, missing, kept) = {
            let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
            let gone: Vec<SocketAddr> =
                listening.addresses.keys().filter(|address| !wanted.contains_key(*address)).copied().collect();
            listening.addresses.retain(|address, _| wanted.contains_key(address));
            let missing: Vec<(SocketAddr, usize)> = (wanted.iter())
                .filter(|(address, _)| !listening.addresses.contains_key(*address))
                .map(|(address, zone)| (*address, *zone))
                .collect();
            (gone, missing, listening.addresses.values().sum::<usize>())
        };
        if !gone.is_empty() {
            info!(addresses = gone.len(), "stops listening and resets its flows");
            self.tell(|_, done| Command::Close(gone.clone(), done)).await;
        }
        if missing.is_empty() {
            return Ok(());
        }
        let count = if wanted.len() <= SHARED_MAX { self.workers.len() } else { 1 };
        let workers = self.workers.len();
        check_files(kept + missing.len() * count)?;
        // Ten thousand sockets take a moment.
        let (bound, failed) = tokio::task::spawn_blocking(move || bind(&missing, count, workers)).await?;
        {
            let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
            let opened: BTreeSet<SocketAddr> = bound.iter().flatten().map(Listener::address).collect();
            listening.addresses.extend(opened.into_iter().map(|address| (address, count)));
        }
        let mut bound = bound.into_iter();
        self.tell(|_, done| Command::Open(bound.next().unwrap_or_default(), done)).await;
        failed
    }

    /// Tells every worker something, and waits until each has done it or is gone.
    async fn tell(&self, mut command: impl FnMut(usize, mpsc::Sender<()>) -> Command) {
        let (done, mut all_done) = mpsc::channel(1);
        for (number, worker) in self.workers.iter().enumerate() {
            worker.send(command(number, done.clone()));
        }
        drop(done);
        // Nothing is ever sent: the end of the last sender is the news.
        let _ = all_done.recv().await;
    }
}

/// Binds addresses for the workers. Gives what each worker gets, and the first error.
fn bind(addresses: &[(SocketAddr, usize)], count: usize, workers: usize) -> (Vec<Vec<Listener>>, io::Result<()>) {
    let mut bound: Vec<Vec<Listener>> = (0..workers).map(|_| Vec::new()).collect();
    let mut failed = Ok(());
    for (address, zone) in addresses {
        match sockets_of(*address, *zone, count) {
            Ok(sockets) => {
                let first = if count > 1 { 0 } else { usize::from(address.port()) };
                for (n, socket) in sockets.into_iter().enumerate() {
                    bound[(first + n) % workers].push(socket);
                }
            }
            Err(error) if failed.is_ok() => {
                failed = Err(io::Error::new(error.kind(), format!("edge cannot listen on {address}: {error}")));
            }
            Err(_) => {}
        }
    }
    (bound, failed)
}

/// Errors: `sockets` are more than the process may have open files, with some left for flows and others.
fn check_files(sockets: usize) -> io::Result<()> {
    let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE).map_err(io::Error::from)?;
    if sockets as u64 + OTHER_FILES > limit {
        return Err(io::Error::other(format!(
            "the accelerators' ports need {sockets} listening sockets (one for each port on each address), and this \
             process may have {limit} open files: raise that limit (ulimit -n) or listen on fewer ports"
        )));
    }
    Ok(())
}

/// Every TCP address and port of the enabled accelerators, with its network zone.
fn wanted(snapshot: &Snapshot) -> BTreeMap<SocketAddr, usize> {
    let zones: BTreeMap<IpAddr, usize> = (snapshot.accelerators.iter())
        .flat_map(|a| a.addresses.iter().copied().enumerate())
        .chain(snapshot.custom_routing_accelerators.iter().flat_map(|a| {
            let of = |(position, address): (usize, &Ipv4Addr)| (position, IpAddr::from(*address));
            a.addresses.iter().enumerate().map(of)
        }))
        .map(|(position, address)| (address, position % crate::hosts::ZONES))
        .collect();
    let zone = |address: &SocketAddr| zones.get(&address.ip()).copied().unwrap_or_default();
    snapshot.edge_sockets(TransportProtocol::Tcp).map(|address| (address, zone(&address))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_listeners_than_open_files_are_refused_in_words() {
        let refused = check_files(usize::MAX / 2).map_err(|e| e.to_string());
        assert!(refused.is_err_and(|text| text.contains("open files")));
        assert!(check_files(2).is_ok());
    }
}
