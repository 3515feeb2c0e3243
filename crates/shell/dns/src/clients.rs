use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Connections of one client address (Perigee's choice, `spec/dns.md` §5.6).
const PER_CLIENT: u32 = 20;

/// How many connections each client has.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    counts: Mutex<BTreeMap<IpAddr, u32>>,
}

/// The right of one connection of a client.
#[derive(Debug)]
pub(crate) struct OfClient {
    clients: Arc<Clients>,
    client: IpAddr,
}

impl Clients {
    /// None if the client has as many as it may.
    pub(crate) fn enter(self: &Arc<Self>, client: IpAddr) -> Option<OfClient> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(client).or_insert(0);
        if *count >= PER_CLIENT {
            return None;
        }
        *count += 1;
        Some(OfClient { clients: self.clone(), client })
    }
}

impl Drop for OfClient {
    fn drop(&mut self) {
        let mut counts = self.clients.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_twenty_connections_and_leaves_no_trace_when_they_are_gone() {
        let clients = Arc::new(Clients::default());
        let one = IpAddr::from([127, 0, 0, 1]);
        let mut held: Vec<OfClient> = (0..PER_CLIENT).filter_map(|_| clients.enter(one)).collect();
        assert_eq!(held.len(), 20);
        assert!(clients.enter(one).is_none());
        assert!(clients.enter(IpAddr::from([127, 0, 0, 2])).is_some(), "another client is not held to it");
        held.pop();
        assert!(clients.enter(one).is_some());
        held.clear();
        assert!(clients.counts.lock().unwrap().is_empty());
    }
}
