use std::collections::HashMap;
use std::sync::Arc;
use std::task::Waker;

use perigee_geo::PopIndex;
use perigee_net::{Fault, Host, Obedience};

use crate::hosts::{PopHosts, ZONES};

/// The simulated machines that a worker's flows belong to, with the faults that the worker obeys now.
///
/// The network zones come first, under their own numbers; points of presence follow as clients of theirs appear.
#[derive(Debug)]
pub(super) struct Places {
    places: Vec<Place>,
    pops: HashMap<PopIndex, u16>,
    hosts: Arc<PopHosts>,
    waker: Waker,
}

#[derive(Debug)]
struct Place {
    host: Host,
    obeyed: Fault,
    obedience: Obedience,
}

/// A place whose fault is another one now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) place: u16,
    pub(super) to: Fault,
}

impl Places {
    /// The zones. `waker` is woken when any place's fault changes.
    pub(super) fn new(hosts: Arc<PopHosts>, waker: Waker) -> Self {
        let mut places = Self { places: Vec::new(), pops: HashMap::new(), hosts: hosts.clone(), waker };
        for zone in 0..ZONES {
            places.add(hosts.zone(zone), Fault::None);
        }
        places
    }

    /// The place of a point of presence.
    pub(super) fn of_pop(&mut self, pop: PopIndex) -> u16 {
        if let Some(place) = self.pops.get(&pop) {
            return *place;
        }
        let host = self.hosts.get(pop);
        let fault = host.fault();
        let place = self.add(host, fault);
        self.pops.insert(pop, place);
        place
    }

    /// The fault that is obeyed at a place.
    pub(super) fn fault(&self, place: u16) -> Fault {
        self.places.get(usize::from(place)).map_or(Fault::None, |place| place.obeyed)
    }

    /// What has changed since the last call.
    pub(super) fn changes(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (number, place) in self.places.iter_mut().enumerate() {
            let to = place.host.fault();
            if to != place.obeyed {
                place.obeyed = to;
                changes.push(Change { place: number as u16, to });
            }
        }
        changes
    }

    /// Says to who waits for it that a change is obeyed.
    pub(super) fn obeyed(&self, change: Change) {
        if let Some(place) = self.places.get(usize::from(change.place)) {
            place.obedience.obeys(change.to);
        }
    }

    fn add(&mut self, host: Host, obeyed: Fault) -> u16 {
        host.wake_on_change(&self.waker);
        let obedience = host.obedience();
        obedience.obeys(obeyed);
        let number = self.places.len() as u16;
        self.places.push(Place { host, obeyed, obedience });
        number
    }
}
