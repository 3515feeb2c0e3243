use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use perigee_model::Snapshot;

use crate::dnssec::Signer;
use crate::manners::Manners;
use crate::metrics::Metrics;
use crate::zones::{Zones, seconds};

/// What the server answers from, made from one snapshot and exchanged as one.
#[derive(Debug)]
pub(crate) struct Authority {
    pub(crate) zones: Zones,
    /// The zones' keys.
    pub(crate) signer: Signer,
    /// How clients are treated.
    pub(crate) manners: Manners,
}

/// The authority of the snapshot in force.
#[derive(Debug)]
pub(crate) struct Authorities {
    current: ArcSwap<Authority>,
    /// That of a snapshot that is about to be published.
    next: ArcSwapOption<Authority>,
    /// Held while one is made, so that one of two threads draws a zone's keys and both use them.
    making: Mutex<()>,
    name_server: Vec<IpAddr>,
    metrics: Metrics,
    /// The cookies' secret if none is configured.
    secret: [u8; 16],
}

impl Authorities {
    pub(crate) fn new(snapshot: Arc<Snapshot>, name_server: Vec<IpAddr>, metrics: Metrics, secret: [u8; 16]) -> Self {
        let current = ArcSwap::from_pointee(Authority::new(snapshot, &name_server, None, &metrics, secret));
        Self { current, next: ArcSwapOption::empty(), making: Mutex::new(()), name_server, metrics, secret }
    }

    /// Makes the authority of `snapshot` before it is published, so that no query has to wait for it: with a hundred
    /// thousand records that takes a good part of a second.
    pub(crate) fn prepare(&self, snapshot: &Arc<Snapshot>) {
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        self.next.store(Some(Arc::new(self.make(snapshot))));
    }

    /// The authority of `snapshot`; made now if nobody did.
    pub(crate) fn of(&self, snapshot: &Arc<Snapshot>) -> Arc<Authority> {
        let is_wanted = |authority: &Arc<Authority>| Arc::ptr_eq(&authority.zones.snapshot, snapshot);
        let made = || Some(self.current.load_full()).filter(is_wanted);
        if let Some(authority) = made() {
            return authority;
        }
        // The first that needs it makes it; a panic on the way leaves nothing behind that a lock could guard.
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(authority) = made() {
            return authority;
        }
        let prepared = self.next.swap(None).filter(is_wanted);
        let authority = prepared.unwrap_or_else(|| Arc::new(self.make(snapshot)));
        self.current.store(authority.clone());
        authority
    }

    fn make(&self, snapshot: &Arc<Snapshot>) -> Authority {
        Authority::new(snapshot.clone(), &self.name_server, Some(&self.current.load()), &self.metrics, self.secret)
    }
}

impl Authority {
    /// Keys that are drawn anew at every start are taken over from `previous`.
    fn new(
        snapshot: Arc<Snapshot>,
        name_server: &[IpAddr],
        previous: Option<&Self>,
        metrics: &Metrics,
        secret: [u8; 16],
    ) -> Self {
        let negative_ttl_s = seconds(snapshot.dns.negative_ttl);
        let previous = previous.map(|previous| &previous.signer);
        let signer = Signer::load(&snapshot.dns.zones, negative_ttl_s, previous, &metrics.signing);
        let manners = Manners::new(snapshot.clone(), secret);
        Self { zones: Zones::new(snapshot, name_server), signer, manners }
    }
}
