use std::hash::Hasher;
use std::net::{IpAddr, SocketAddr};

use siphasher::sip::SipHasher24;
use siphasher::sip128::{Hasher128, SipHasher24 as SipHasher24Of128};

/// A candidate's stable identity: a name, and what tells it from others of that name, empty for most. The two are
/// hashed as one, so the second begins with a byte that no name has.
pub type Id<'a> = [&'a [u8]; 2];

/// The key of an accelerator's choices: 128 bits that every edge shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed([u8; 16]);

impl Seed {
    /// The seed of something by its name, the same on every machine: two edges with one configuration agree without
    /// talking (Perigee's choice while there is no shared state store).
    pub fn derive(name: &str) -> Self {
        let mut hasher = SipHasher24Of128::new();
        hasher.write(name.as_bytes());
        Self(hasher.finish128().as_bytes())
    }

    /// A hash of `parts`, in order. The parts' boundaries do not enter: callers use parts of known length, or one
    /// variable part at the end.
    fn hash(&self, parts: &[&[u8]]) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        for part in parts {
            hasher.write(part);
        }
        hasher.finish()
    }

    /// A number in the open interval (0, 1), uniform over keys: the hash of `key` and `id`.
    pub fn unit(&self, key: &[u8], id: &[u8]) -> f64 {
        self.unit_of(key, [id, &[]])
    }

    /// The same for an identity in two parts, of which the second tells those apart that share the first.
    pub fn unit_of(&self, key: &[u8], id: Id<'_>) -> f64 {
        // The top 53 bits fill a double's mantissa; the half keeps both ends out.
        let bits = self.bits(key, id);
        (bits as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// The 53 bits that [`Self::unit`] is made of, in the same order.
    fn bits(&self, key: &[u8], [name, rest]: Id<'_>) -> u64 {
        self.hash(&[key, name, rest]) >> 11
    }
}

/// What a flow's choice hangs on, as bytes: addresses and ports in network order, IPv4 as four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowKey {
    bytes: [u8; 38],
    length: usize,
}

impl FlowKey {
    /// The five-tuple of a flow; `protocol` is the number in its IP header, 6 for TCP and 17 for UDP.
    ///
    /// Source: Global Accelerator developer guide, "Client affinity"; the byte order is Perigee's choice.
    pub fn five_tuple(source: SocketAddr, destination: SocketAddr, protocol: u8) -> Self {
        let mut key = Self { bytes: [0; 38], length: 0 };
        key.push_ip(source.ip());
        key.push(&source.port().to_be_bytes());
        key.push_ip(destination.ip());
        key.push(&destination.port().to_be_bytes());
        key.push(&[protocol]);
        key
    }

    /// Source and destination address: what `SOURCE_IP` affinity hashes for the endpoint.
    pub fn two_tuple(source: IpAddr, destination: IpAddr) -> Self {
        let mut key = Self::address(source);
        key.push_ip(destination);
        key
    }

    /// One address: what `SOURCE_IP` affinity hashes for the group, so that both static addresses agree.
    pub fn address(source: IpAddr) -> Self {
        let mut key = Self { bytes: [0; 38], length: 0 };
        key.push_ip(source);
        key
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn push_ip(&mut self, ip: IpAddr) {
        match ip {
            IpAddr::V4(ip) => self.push(&ip.octets()),
            IpAddr::V6(ip) => self.push(&ip.octets()),
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }
}

/// The score of one candidate under weighted rendezvous hashing; the greatest wins. Weight zero scores zero and is
/// beaten by every other weight. The logarithm is not the platform's, so that all edges agree to the last bit.
///
/// Source: Schindelhauer and Schomaker, SPAA 2005 (logarithmic method); `global-accelerator.md` section 3.1.
pub fn score(seed: &Seed, key: &FlowKey, id: Id<'_>, weight: f64) -> f64 {
    -weight / libm::log(seed.unit_of(key.as_bytes(), id))
}

/// The candidates in order of preference for `key`: greatest score first, ties by position. Candidates are pairs of a
/// stable identity and a weight; the result holds their positions.
pub fn ranked<'a>(seed: &Seed, key: &FlowKey, candidates: impl Iterator<Item = (Id<'a>, f64)>) -> Vec<usize> {
    let mut scored: Vec<(usize, f64)> =
        candidates.enumerate().map(|(i, (id, weight))| (i, score(seed, key, id, weight))).collect();
    scored.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    scored.into_iter().map(|(i, _)| i).collect()
}

/// The first of [`ranked`], without the list: the position of the greatest score, ties by position. None without
/// candidates.
pub fn best<'a>(seed: &Seed, key: &FlowKey, candidates: impl Iterator<Item = (Id<'a>, f64)>) -> Option<usize> {
    greatest(candidates.map(|(id, weight)| score(seed, key, id, weight)), |a, b| a.total_cmp(b).is_gt())
}

/// [`best`] among candidates of one weight above zero, which is then of no matter: the score grows with the hash, so
/// that no logarithm is taken.
pub fn best_of_equals<'a>(seed: &Seed, key: &FlowKey, candidates: impl Iterator<Item = Id<'a>>) -> Option<usize> {
    greatest(candidates.map(|id| seed.bits(key.as_bytes(), id)), |a, b| a > b)
}

/// The position of the greatest, the first of equals.
fn greatest<T>(scores: impl Iterator<Item = T>, is_greater: impl Fn(&T, &T) -> bool) -> Option<usize> {
    let better = |best: (usize, T), next: (usize, T)| if is_greater(&next.1, &best.1) { next } else { best };
    scores.enumerate().reduce(better).map(|(position, _)| position)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(n: u32) -> FlowKey {
        let [a, b, c, d] = n.to_be_bytes();
        FlowKey::five_tuple(([10, a, b, c], 1024 + u16::from(d)).into(), ([127, 75, 2, 1], 8080).into(), 6)
    }

    fn pick(seed: &Seed, key: &FlowKey, candidates: &[(&'static str, f64)]) -> usize {
        ranked(seed, key, candidates.iter().map(|(id, w)| ([id.as_bytes(), &[][..]], *w)))[0]
    }

    #[test]
    fn shares_tend_to_the_weights() {
        // 1/256 and 255/256 of 100,000 flows: the binomial band at 99.9 % is 3.3 standard deviations.
        let seed = Seed::derive("shop");
        let candidates = [("a", 1.0), ("b", 255.0)];
        let n = 100_000;
        let a = (0..n).filter(|i| pick(&seed, &key(*i), &candidates) == 0).count() as f64;
        let p = 1.0 / 256.0;
        let sigma = (f64::from(n) * p * (1.0 - p)).sqrt();
        assert!((a - f64::from(n) * p).abs() < 3.3 * sigma, "{a} flows, expected {}", f64::from(n) * p);
    }

    proptest! {
        #[test]
        fn removing_a_candidate_moves_only_its_own_flows(n: u32, gone in 0_usize..4) {
            let seed = Seed::derive("shop");
            let all = [("a", 10.0), ("b", 20.0), ("c", 128.0), ("d", 255.0)];
            let before = all[pick(&seed, &key(n), &all)].0;
            let mut rest = all.to_vec();
            let removed = rest.remove(gone).0;
            let after = rest[pick(&seed, &key(n), &rest)].0;
            prop_assert!(before == removed || before == after);
        }

        #[test]
        fn raising_a_weight_only_draws_flows_to_it(n: u32, weight in 1.0_f64..255.0) {
            let seed = Seed::derive("shop");
            let before = pick(&seed, &key(n), &[("a", weight), ("b", 128.0)]);
            let after = pick(&seed, &key(n), &[("a", weight + 20.0), ("b", 128.0)]);
            prop_assert!(before == after || after == 0);
        }

        #[test]
        fn the_best_is_the_first_of_the_ranked(n: u32, weights in proptest::collection::vec(0_u8..4, 0..5)) {
            let seed = Seed::derive("shop");
            let ids = ["a", "b", "c", "d", "e"];
            let candidates = || ids.iter().zip(&weights).map(|(id, w)| ([id.as_bytes(), &[][..]], f64::from(*w)));
            prop_assert_eq!(best(&seed, &key(n), candidates()), ranked(&seed, &key(n), candidates()).first().copied());
            let equal = ranked(&seed, &key(n), candidates().map(|(id, _)| (id, 7.0)));
            prop_assert_eq!(best_of_equals(&seed, &key(n), candidates().map(|(id, _)| id)), equal.first().copied());
        }

        #[test]
        fn the_unit_stays_between_its_ends(key: Vec<u8>, id: Vec<u8>) {
            let u = Seed::derive("x").unit(&key, &id);
            prop_assert!(u > 0.0 && u < 1.0);
        }
    }

    #[test]
    fn a_two_tuple_ignores_ports_and_an_address_key_ignores_the_destination() {
        let (a, b): (IpAddr, IpAddr) = ([1, 2, 3, 4].into(), [5, 6, 7, 8].into());
        assert_eq!(FlowKey::two_tuple(a, b).as_bytes(), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(FlowKey::address(a).as_bytes(), [1, 2, 3, 4]);
        let v6 = SocketAddr::new([0_u16; 8].into(), 1);
        assert_eq!(FlowKey::five_tuple(v6, v6, 6).as_bytes().len(), 37);
        assert_ne!(FlowKey::five_tuple(v6, v6, 6), FlowKey::five_tuple(v6, v6, 17), "TCP and UDP are two flows");
    }
}
