use std::net::Ipv4Addr;

use perigee_geo::AddressBlock;

use crate::Stream;

/// The addresses of the places that have clients, and which client has which.
#[derive(Debug, Default)]
pub(super) struct AddressBook {
    /// The blocks of all homes, one home after the other, ascending within.
    first: Vec<u32>,
    /// By block: addresses of its home up to its end.
    end: Vec<u64>,
    homes: Vec<Home>,
}

/// The addresses of one place.
#[derive(Debug)]
struct Home {
    /// Its blocks begin here and end where the next home's begin.
    blocks: usize,
    addresses: u64,
    /// Clients that share them out.
    clients: u64,
    /// Says where in its stretch a client sits.
    key: u64,
}

impl AddressBook {
    /// How many places it has: the number of the next one.
    pub(super) fn len(&self) -> usize {
        self.homes.len()
    }

    /// Adds a place with its blocks, at least one, and the number of clients that live there.
    pub(super) fn push(&mut self, blocks: &[AddressBlock], clients: u64, seed: u64) {
        let start = self.first.len();
        let mut addresses = 0;
        for block in blocks {
            addresses += block.count;
            self.first.push(block.first.to_bits());
            self.end.push(addresses);
        }
        let name = blocks.first().map_or(0, |b| b.first.to_bits().into());
        let key = Stream::numbered(seed, "client addresses", name).bits() | 1;
        self.homes.push(Home { blocks: start, addresses, clients, key });
    }

    /// The address of the `client`-th client of a home.
    ///
    /// Client `c` of `n` has the stretch from `c` / `n` to (`c` + 1) / `n` of the addresses for itself and sits in it at
    /// a fraction that is a multiple of the key: equally spread (Weyl, 1916), and not always at the same last byte.
    pub(super) fn address(&self, home: usize, client: u64) -> Ipv4Addr {
        let blocks_end = self.homes.get(home + 1).map_or(self.first.len(), |next| next.blocks);
        let home = &self.homes[home];
        // Below 2^62: at most 10^9 clients (the model's bound) and 2^32 addresses.
        let edge = |c: u64| c * home.addresses / home.clients.max(1);
        let (from, to) = (edge(client), edge(client + 1));
        let fraction = (client + 1).wrapping_mul(home.key);
        let offset = from + ((u128::from(fraction) * u128::from(to - from)) >> 64) as u64;
        let ends = &self.end[home.blocks..blocks_end];
        let block = ends.partition_point(|end| *end <= offset);
        let before = if block == 0 { 0 } else { ends[block - 1] };
        Ipv4Addr::from_bits(self.first[home.blocks + block] + (offset - before) as u32)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::population::tests::atlas;

    fn book(clients: u64) -> AddressBook {
        let place = atlas().here();
        let block = |first: [u8; 4], count| AddressBlock { first: first.into(), count, place };
        let mut book = AddressBook::default();
        book.push(&[block([1, 0, 0, 0], 256)], 1, 9);
        book.push(&[block([2, 0, 0, 0], 3), block([3, 0, 0, 0], 1), block([9, 9, 9, 0], 96)], clients, 9);
        book.push(&[block([255, 255, 255, 0], 256)], 256, 9);
        book
    }

    #[test]
    fn as_many_clients_as_addresses_have_one_each() {
        let book = book(100);
        let all: BTreeSet<Ipv4Addr> = (0..100).map(|client| book.address(1, client)).collect();
        let expected = [[2, 0, 0, 0], [2, 0, 0, 1], [2, 0, 0, 2], [3, 0, 0, 0]].into_iter().map(Ipv4Addr::from);
        let expected = expected.chain((0..96).map(|i| Ipv4Addr::new(9, 9, 9, i)));
        assert!(all.into_iter().eq(expected));
        assert_eq!(book.address(2, 255), Ipv4Addr::BROADCAST);
    }

    #[test]
    fn fewer_clients_than_addresses_do_not_meet_and_more_share() {
        let few = book(30);
        let all: BTreeSet<Ipv4Addr> = (0..30).map(|client| few.address(1, client)).collect();
        assert_eq!(all.len(), 30);
        let many = book(1_000);
        let mut count = std::collections::BTreeMap::new();
        for client in 0..1_000 {
            *count.entry(many.address(1, client)).or_insert(0) += 1;
        }
        assert!(count.len() == 100 && count.values().all(|n| *n == 10), "{count:?}");
    }
}
