use std::net::SocketAddr;

/// Addresses up to which each worker has a socket of its own at each of them (Perigee's choice: two addresses with few
/// ports each are the usual listener; a range of a thousand ports shall not cost a thousand sockets per core).
const SHARED_MAX: usize = 64;

/// Which workers take the datagrams of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placement {
    /// Each has a socket there, and the kernel spreads clients over them.
    All,
    /// The worker of this number.
    One(usize),
}

/// Places `addresses` on `workers`, at least one: few on all of them, many each on one in turn.
pub(super) fn place(
    addresses: impl ExactSizeIterator<Item = SocketAddr>,
    workers: usize,
) -> impl Iterator<Item = (SocketAddr, Placement)> {
    let few = addresses.len() <= SHARED_MAX;
    let placement =
        move |number: usize| if few && workers > 1 { Placement::All } else { Placement::One(number % workers) };
    addresses.enumerate().map(move |(number, address)| (address, placement(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(count: u16) -> impl ExactSizeIterator<Item = SocketAddr> {
        (0..count).map(|n| ([127, 0, 0, 1], n + 1).into())
    }

    #[test]
    fn few_addresses_are_on_every_worker_and_many_on_one_each() {
        assert!(place(addresses(64), 2).all(|(_, placement)| placement == Placement::All));
        let on =
            |worker| place(addresses(2_000), 3).filter(|(_, placement)| *placement == Placement::One(worker)).count();
        assert_eq!((on(0), on(1), on(2)), (667, 667, 666));
    }

    #[test]
    fn a_worker_alone_needs_nobody_to_share_with() {
        assert!(place(addresses(1), 1).all(|(_, placement)| placement == Placement::One(0)));
    }
}
