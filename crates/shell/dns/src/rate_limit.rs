//! Response rate limiting: a server must not be a lever for whoever writes another's address on his packets.
//!
//! Answers to one network for one name are credited at a rate and charged one each, whether they were sent or not, so
//! that a flood stays limited for as long as it lasts and a moment longer. Every so many-th limited answer *slips*: it is
//! sent as an empty one with TC, which is no larger than the query, and lets an honest client behind the forged address
//! come back over TCP.

use std::net::IpAddr;

use perigee_model::dns::RateLimit;
use siphasher::sip::SipHasher13;

/// Accounts in one set, of which an answer belongs to one. A set is searched whole, so it is small.
const WAYS: usize = 8;
/// Sets of a limiter (Perigee's choice: 32,768 accounts, under a mebibyte, for as many networks and names at once).
const SETS: usize = 4_096;
/// What an answer costs. Credit is counted in thousandths, so that a millisecond at one answer a second is something.
const PRICE: i64 = 1_000;
/// Octets of the longest name.
const MAX_NAME: usize = 255;

/// Kinds of answers, each with accounts of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Category {
    /// Records of the name.
    Answer,
    /// The name has none of the type; charged as [`Self::Answer`].
    NoData,
    /// No such name: counted by zone, for random names would all be different (`spec/dns.md` §7, water torture).
    NxDomain,
    /// Any other response code: counted by network alone.
    Error,
    /// A delegation: counted by its cut; charged as [`Self::Answer`].
    Referral,
}

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is sent.
    Pass,
    /// It is sent empty, with TC.
    Slip,
    /// It is not sent.
    Drop,
}

/// The accounts of one worker. No locks, no allocation after it was made; not shared, so each worker grants the rates of
/// its own.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    hasher: SipHasher13,
    settings: RateLimit,
    /// The generation of the snapshot that the settings are from.
    generation: Option<u64>,
    sets: Box<[[Account; WAYS]]>,
}

/// Credit of one network, name and category. The one touched longest ago makes room for a new one.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    /// The hash's upper half; 0 is nobody's.
    tag: u32,
    /// When it was charged last, in milliseconds modulo 2^32.
    at_ms: u32,
    /// Thousandths of answers; limited when negative.
    credit: i64,
    /// Answers limited so far, to count the slips by.
    limited: u32,
}

impl RateLimiter {
    /// Empty accounts under `settings`. `key` is drawn by the caller: who knew it could aim at others' accounts.
    pub(crate) fn new(settings: RateLimit, key: [u8; 16]) -> Self {
        Self {
            hasher: SipHasher13::new_with_key(&key),
            settings,
            generation: None,
            sets: vec![[Account::default(); WAYS]; SETS].into_boxed_slice(),
        }
    }

    /// Takes over the settings of the snapshot with this generation, unless it has them. The accounts stay.
    pub(crate) fn follow(&mut self, generation: u64, settings: &RateLimit) {
        if self.generation != Some(generation) {
            self.generation = Some(generation);
            self.settings.clone_from(settings);
        }
    }

    /// The key of a name in wire form, whatever its case, for [`Self::judge`].
    pub(crate) fn name_key(&self, name: &[u8]) -> u64 {
        let mut lower = [0; MAX_NAME];
        let len = name.len().min(MAX_NAME);
        lower[..len].copy_from_slice(&name[..len]);
        lower[..len].make_ascii_lowercase();
        self.hasher.hash(&lower[..len])
    }

    /// Whether `source` is not limited at all.
    pub(crate) fn is_free(&self, source: IpAddr) -> bool {
        let source = source.to_canonical();
        !self.settings.enabled || self.settings.exempt.iter().any(|network| network.contains(&source))
    }

    /// Charges an answer to `source`'s network (/24 or /56) and says what becomes of it.
    ///
    /// `key` is what the category counts by: the name, the zone or the cut, see [`Self::name_key`]; 0 for errors.
    /// `now_ms` is monotonic. A rate of 0 sets no limit. Pure but for the accounts: the same calls give the same
    /// verdicts.
    ///
    /// Source: `spec/dns.md` §7; credit is at most one second's and debt at most a window's, as in BIND.
    pub(crate) fn judge(&mut self, now_ms: u64, source: IpAddr, key: u64, category: Category) -> Verdict {
        let settings = &self.settings;
        let rate = i64::from(match category {
            Category::Answer | Category::NoData | Category::Referral => settings.answers_per_second,
            Category::NxDomain => settings.nxdomains_per_second,
            Category::Error => settings.errors_per_second,
        });
        if rate == 0 || self.is_free(source) {
            return Verdict::Pass;
        }
        let source = source.to_canonical();
        let hash = self.hasher.hash(&account_of(source, key, category));
        let tag = ((hash >> 32) as u32).max(1);
        let now = now_ms as u32;
        let Some(set) = self.sets.get_mut(hash as usize % SETS) else { return Verdict::Pass };
        let most = rate * PRICE;
        let account = match set.iter().position(|account| account.tag == tag) {
            Some(position) => &mut set[position],
            None => {
                let age = |account: &Account| if account.tag == 0 { u32::MAX } else { now.wrapping_sub(account.at_ms) };
                let oldest = (0..WAYS).max_by_key(|way| age(&set[*way])).unwrap_or(0);
                set[oldest] = Account { tag, at_ms: now, credit: most, limited: 0 };
                &mut set[oldest]
            }
        };
        let earned = rate * i64::from(now.wrapping_sub(account.at_ms));
        let least = -most * i64::from(settings.window_s.max(1));
        account.at_ms = now;
        account.credit = ((account.credit + earned).min(most) - PRICE).max(least);
        if account.credit >= 0 {
            return Verdict::Pass;
        }
        account.limited = account.limited.wrapping_add(1);
        match settings.slip {
            0 => Verdict::Drop,
            slip if account.limited % slip == 0 => Verdict::Slip,
            _ => Verdict::Drop,
        }
    }
}

/// What an account's hash is made of: the network, the key and the category.
fn account_of(source: IpAddr, key: u64, category: Category) -> [u8; 18] {
    let mut account = [0; 18];
    match source {
        IpAddr::V4(v4) => account[..3].copy_from_slice(&v4.octets()[..3]),
        IpAddr::V6(v6) => account[..7].copy_from_slice(&v6.octets()[..7]),
    }
    account[8..16].copy_from_slice(&key.to_be_bytes());
    account[16] = category as u8;
    account[17] = u8::from(source.is_ipv6());
    account
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limiter(change: impl FnOnce(&mut RateLimit)) -> RateLimiter {
        let mut settings = RateLimit { exempt: vec!["192.0.2.128/25".parse().unwrap()], ..RateLimit::default() };
        change(&mut settings);
        RateLimiter::new(settings, [3; 16])
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// How many of `count` answers, evenly spread over the milliseconds, had each verdict: passed, slipped, dropped.
    fn flood(
        limiter: &mut RateLimiter,
        source: &str,
        category: Category,
        from_ms: u64,
        ms: u64,
        count: u64,
    ) -> [u64; 3] {
        let mut verdicts = [0; 3];
        for i in 0..count {
            verdicts[limiter.judge(from_ms + i * ms / count, ip(source), 9, category) as usize] += 1;
        }
        verdicts
    }

    #[test]
    fn each_category_has_its_rate_and_half_of_the_rest_slips() {
        for (category, rate) in [
            (Category::Answer, 20),
            (Category::NoData, 20),
            (Category::Referral, 20),
            (Category::NxDomain, 5),
            (Category::Error, 5),
        ] {
            let mut limiter = limiter(|_| {});
            let [passed, slipped, dropped] = flood(&mut limiter, "198.51.100.1", category, 0, 10_000, 10_000);
            assert_eq!(passed, rate, "{category:?}: the first second's, then debt");
            assert_eq!((slipped, slipped + dropped), ((10_000 - rate) / 2, 10_000 - rate), "{category:?}");
        }
    }

    #[test]
    fn slip_zero_drops_all_and_slip_one_drops_none() {
        for (slip, slipped) in [(0, 0), (1, 80), (2, 40), (4, 20)] {
            let mut limiter = limiter(|settings| settings.slip = slip);
            let verdicts = flood(&mut limiter, "198.51.100.1", Category::Answer, 0, 1, 100);
            assert_eq!(verdicts, [20, slipped, 80 - slipped], "slip {slip}");
        }
    }

    #[test]
    fn a_steady_client_at_the_rate_is_never_limited() {
        let mut limiter = limiter(|_| {});
        assert_eq!(flood(&mut limiter, "198.51.100.1", Category::Answer, 0, 60_000, 1_200), [1_200, 0, 0]);
    }

    #[test]
    fn a_flood_is_forgotten_a_window_after_its_end() {
        let mut limiter = limiter(|_| {});
        flood(&mut limiter, "198.51.100.1", Category::Answer, 0, 5_000, 50_000);
        // Each question is asked of limiters with the same past, for asking is charged as well.
        for (after_ms, verdict) in [(14_900, false), (15_200, true)] {
            let mut limiter = RateLimiter { sets: limiter.sets.clone(), ..super::tests::limiter(|_| {}) };
            let passed = limiter.judge(5_000 + after_ms, ip("198.51.100.1"), 9, Category::Answer) == Verdict::Pass;
            assert_eq!(passed, verdict, "{after_ms} ms later");
        }
    }

    #[test]
    fn networks_names_and_categories_have_accounts_of_their_own() {
        let mut limiter = limiter(|_| {});
        flood(&mut limiter, "198.51.100.1", Category::Answer, 0, 1_000, 1_000);
        flood(&mut limiter, "2001:db8:0:100::1", Category::Answer, 0, 1_000, 1_000);
        let name = limiter.name_key(b"\x03aPp\x00");
        assert_eq!(name, limiter.name_key(b"\x03app\x00"), "letter case is no way around");
        assert_ne!(name, limiter.name_key(b"\x03apq\x00"));
        for (source, key, category, is_limited) in [
            ("198.51.100.1", 9, Category::Answer, true),
            ("198.51.100.254", 9, Category::Answer, true),
            ("::ffff:198.51.100.7", 9, Category::Answer, true),
            ("198.51.101.1", 9, Category::Answer, false),
            ("198.51.100.1", 10, Category::Answer, false),
            ("198.51.100.1", 9, Category::NxDomain, false),
            ("2001:db8:0:1ff:ffff::9", 9, Category::Answer, true),
            ("2001:db8:0:200::1", 9, Category::Answer, false),
        ] {
            let verdict = limiter.judge(1_000, ip(source), key, category);
            assert_eq!(verdict != Verdict::Pass, is_limited, "{source} {key} {category:?}");
        }
    }

    #[test]
    fn exempt_networks_a_rate_of_zero_and_the_switch_limit_nothing() {
        let all = [10_000, 0, 0];
        assert_eq!(flood(&mut limiter(|_| {}), "192.0.2.200", Category::Error, 0, 10, 10_000), all);
        assert_eq!(flood(&mut limiter(|s| s.enabled = false), "192.0.2.1", Category::Error, 0, 10, 10_000), all);
        assert_eq!(flood(&mut limiter(|s| s.errors_per_second = 0), "192.0.2.1", Category::Error, 0, 10, 10_000), all);
    }

    #[test]
    fn new_settings_hold_at_once_and_the_accounts_stay() {
        let mut limiter = limiter(|_| {});
        flood(&mut limiter, "198.51.100.1", Category::Answer, 0, 1_000, 1_000);
        limiter.follow(2, &RateLimit { slip: 0, ..RateLimit::default() });
        assert_eq!(flood(&mut limiter, "198.51.100.1", Category::Answer, 1_000, 100, 100), [0, 0, 100]);
    }

    #[test]
    fn a_flood_from_every_network_keeps_to_the_memory_that_there_is() {
        let mut limiter = limiter(|_| {});
        let before = limiter.sets.len();
        for i in 0..200_000_u32 {
            limiter.judge(u64::from(i / 100), IpAddr::V4((i << 8).into()), 9, Category::Answer);
        }
        assert_eq!(limiter.sets.len(), before);
        assert!(size_of_val(&*limiter.sets) < 1 << 20, "{} octets", size_of_val(&*limiter.sets));
        // Who floods within that crowd is limited still: an account in use is not the one touched longest ago.
        let [passed, ..] = flood(&mut limiter, "203.0.113.1", Category::Answer, 2_000, 1_000, 1_000);
        assert_eq!(passed, 20);
    }

    #[test]
    fn a_spoofed_flood_gets_fewer_octets_back_than_it_sends() {
        // Query and whole answer: a plain one, a datagram full of signed records, and a huge one of a larger limit.
        for (query, answer) in [(40_u64, 120_u64), (40, 1_232), (29, 1_232), (60, 4_096)] {
            for per_second in [100_u64, 1_000, 20_000] {
                for category in [Category::Answer, Category::NxDomain, Category::Error, Category::Referral] {
                    let mut limiter = limiter(|_| {});
                    let count = per_second * 60;
                    let [passed, slipped, _] = flood(&mut limiter, "198.51.100.1", category, 0, 60_000, count);
                    let amplification = (passed * answer + slipped * query) as f64 / (count * query) as f64;
                    assert!(
                        amplification < 1.0,
                        "{amplification} at {per_second}/s, {query} to {answer}, {category:?}"
                    );
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn what_passes_is_at_most_the_rate_times_the_time_and_a_seconds_worth(
            gaps in prop::collection::vec(0_u64..400, 1..400),
            rate in 1_u32..50,
        ) {
            let mut limiter = limiter(|settings| settings.answers_per_second = rate);
            let (mut now, mut passed) = (u64::from(u32::MAX) - 20_000, 0_u64);
            let start = now;
            for gap in gaps {
                now += gap;
                passed += u64::from(limiter.judge(now, ip("198.51.100.1"), 9, Category::Answer) == Verdict::Pass);
            }
            prop_assert!(passed <= u64::from(rate) * (now - start) / 1_000 + u64::from(rate), "{passed}");
        }
    }
}
