use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Connections between edges and load balancer nodes of one process, by both ends: which edge each came from.
///
/// On loopback an edge makes its second connection from the client's own address and has no header in which to name
/// itself; where edge and node share a process it says so here, before the first byte. Across processes the PROXY
/// protocol header carries the name. Clones are the same register.
#[derive(Clone, Debug, Default)]
pub struct Crossings {
    ends: Arc<Mutex<Ends>>,
    is_unread: bool,
}

type Ends = HashMap<(SocketAddr, SocketAddr), Arc<str>>;

/// A registered connection; dropping it takes it off the register.
#[derive(Debug)]
pub struct Crossing {
    register: Crossings,
    ends: (SocketAddr, SocketAddr),
}

impl Crossings {
    /// A register that no node of this process reads, so that nobody needs to write it.
    pub fn unread() -> Self {
        Self { is_unread: true, ..Self::default() }
    }

    /// Whether somebody may read it.
    pub const fn is_read(&self) -> bool {
        !self.is_unread
    }

    /// Registers the connection from `source` to `destination` as made by `edge`.
    pub fn enter(&self, source: SocketAddr, destination: SocketAddr, edge: Arc<str>) -> Crossing {
        let ends = (source, destination);
        self.lock().insert(ends, edge);
        Crossing { register: self.clone(), ends }
    }

    /// The edge that made the connection from `source` to `destination`, none if no edge of this process did.
    pub fn edge(&self, source: SocketAddr, destination: SocketAddr) -> Option<Arc<str>> {
        self.lock().get(&(source, destination)).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Ends> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Crossing {
    fn drop(&mut self) {
        self.register.lock().remove(&self.ends);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_known_as_long_as_it_exists() {
        let crossings = Crossings::default();
        let (a, b) = (([127, 0, 0, 1], 1).into(), ([127, 0, 0, 2], 2).into());
        let crossing = crossings.enter(a, b, "ICN".into());
        assert_eq!(crossings.edge(a, b).as_deref(), Some("ICN"));
        assert_eq!(crossings.edge(b, a), None);
        drop(crossing);
        assert_eq!(crossings.edge(a, b), None);
    }
}
