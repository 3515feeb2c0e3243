use std::hash::Hasher;

use hickory_proto::dnssec::rdata::RRSIG;
use hickory_proto::dnssec::rdata::sig::SigInput;
use hickory_proto::dnssec::{DnsSecError, TBS};
use hickory_proto::rr::{Name, SerialNumber};
use siphasher::sip::SipHasher13;

use super::canonical::in_canonical_form;
use super::zone_keys::ZoneKey;
use crate::response::RrSet;

/// A signature is valid from before it was made, for validators whose clock is behind (`spec/dns.md` section 6).
const EARLIER_S: u32 = 3_600;
/// How long it is valid at least (`spec/dns.md` section 6).
const LIFE_S: u32 = 72 * 3_600;
/// Up to this much longer, by the set that is signed: what was signed together does not end together. Perigee's choice.
const JITTER_S: u32 = 6 * 3_600;
/// With less than this left, a signature is made anew. Perigee's choice: a day, so that sets of a usual TTL are never
/// cut short, and a server whose clock or disk is in trouble has that long to be mended.
const RENEW_S: u32 = 24 * 3_600;

/// One signature by one key over one set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    /// Seconds since 1970 modulo 2^32, as it is on the wire (RFC 4034 section 3.1.5).
    inception: u32,
    expiration: u32,
    bytes: Box<[u8]>,
}

impl Signature {
    /// Signs the canonical form of `set` at `now`, seconds since 1970 modulo 2^32.
    ///
    /// Given the key, the window is a function of the arguments; so is the signature for Ed25519. An ECDSA signature
    /// has a random part. Errors: the key's own.
    pub(super) fn make(
        key: &ZoneKey,
        origin: &Name,
        set: &RrSet,
        canonical: &[u8],
        now: u32,
    ) -> Result<Self, DnsSecError> {
        let (inception, expiration) = window(canonical, now);
        let mut bytes = in_canonical_form(&input(key, origin, set, inception, expiration))?;
        bytes.extend_from_slice(canonical);
        let bytes = key.secret.sign(&TBS::from(&bytes[..]))?.into_boxed_slice();
        Ok(Self { inception, expiration, bytes })
    }

    /// Whether it may be given out at `now`: begun, and with enough of its life left. Serial arithmetic (RFC 1982), so
    /// that 2106 is no special year; a clock that went back makes the signature unusable, not eternal.
    pub(super) const fn is_fresh(&self, now: u32) -> bool {
        let begun = now.wrapping_sub(self.inception) as i32 >= 0;
        begun && self.remaining_s(now) as i32 >= RENEW_S as i32
    }

    /// Seconds until it ends; what has a longer TTL must not be kept for longer (`spec/dns.md` section 6).
    pub(super) const fn remaining_s(&self, now: u32) -> u32 {
        self.expiration.wrapping_sub(now)
    }

    /// Octets that it takes.
    pub(super) const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The record of it, for `set` as it was signed.
    pub(super) fn record(&self, key: &ZoneKey, origin: &Name, set: &RrSet) -> RRSIG {
        RRSIG::from_sig(input(key, origin, set, self.inception, self.expiration), self.bytes.to_vec())
    }
}

fn window(canonical: &[u8], now: u32) -> (u32, u32) {
    // A fixed key: the same set has the same jitter on every server.
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    hasher.write(canonical);
    let jitter_s = (hasher.finish() % u64::from(JITTER_S)) as u32;
    (now.wrapping_sub(EARLIER_S), now.wrapping_add(LIFE_S + jitter_s))
}

fn input(key: &ZoneKey, origin: &Name, set: &RrSet, inception: u32, expiration: u32) -> SigInput {
    SigInput {
        type_covered: set.record_type,
        algorithm: key.algorithm,
        num_labels: set.owner.num_labels(),
        original_ttl: set.ttl_s,
        sig_expiration: SerialNumber::new(expiration),
        sig_inception: SerialNumber::new(inception),
        key_tag: key.tag,
        signer_name: origin.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(inception: u32, expiration: u32) -> Signature {
        Signature { inception, expiration, bytes: Box::default() }
    }

    #[test]
    fn the_window_begins_an_hour_early_and_lasts_three_days_with_a_jitter_of_its_own() {
        let now = 1_800_000_000;
        let ends: Vec<u32> = (0..64_u8).map(|set| window(&[set], now).1 - now).collect();
        assert!((0..64_u8).all(|set| window(&[set], now).0 == now - 3_600));
        assert!(ends.iter().all(|end| (259_200..259_200 + 21_600).contains(end)), "{ends:?}");
        let quarters = [0, 1, 2, 3].map(|q| ends.iter().filter(|end| (*end - 259_200) / 5_400 == q).count());
        assert!(quarters.iter().all(|count| *count > 4), "the ends are not spread: {quarters:?}");
        assert_eq!(window(b"set", now), window(b"set", now));
    }

    #[test]
    fn a_signature_is_given_out_while_a_day_of_it_is_left_even_across_the_end_of_the_serial_numbers() {
        for now in [1_800_000_000, u32::MAX - 10, 5] {
            let good = signature(now.wrapping_sub(3_600), now.wrapping_add(86_400));
            assert!(good.is_fresh(now), "{now}");
            assert_eq!(good.remaining_s(now), 86_400);
            assert!(!good.is_fresh(now.wrapping_add(1)), "{now}: less than a day left");
            assert!(!good.is_fresh(now.wrapping_add(86_401)), "{now}: over");
            assert!(!good.is_fresh(now.wrapping_sub(3_601)), "{now}: the clock went back");
        }
    }
}
