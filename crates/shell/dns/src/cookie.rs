//! DNS cookies (RFC 7873) in the interoperable form of RFC 9018: a server part that proves, without any state, that its
//! sender has received an answer of ours at its address within the last hour.

use std::net::IpAddr;

use siphasher::sip::SipHasher24;

/// Octets of the client's part.
const CLIENT: usize = 8;
/// Octets of a cookie of ours: the client's part, and version, reserved, timestamp and hash.
pub(crate) const WHOLE: usize = CLIENT + 16;
/// The only version there is (RFC 9018 section 4.1).
const VERSION: u8 = 1;
/// Seconds that a server part is good for, and that it may lie in the future (RFC 9018 section 4.3).
const OLDEST_S: i32 = 3_600;
const AHEAD_S: i32 = 300;
/// Seconds after which a good server part is replaced all the same (RFC 9018 section 4.3).
const RENEW_S: i32 = 1_800;

/// What a client's cookie says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It sent none, or cookies are off: nothing is known.
    None,
    /// It sent its own part alone: it is about to learn ours.
    New,
    /// It sent a server part that is not ours, not for its address, or too old.
    Bad,
    /// It has received an answer at its address.
    Good,
}

impl Standing {
    /// The counters' word for it.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::New => "new",
            Self::Bad => "bad",
            Self::Good => "good",
        }
    }
}

/// Makes and checks server parts.
#[derive(Clone)]
pub(crate) struct Cookies {
    newest: SipHasher24,
    /// Accepted, but not used for new ones: what was handed out before a roll of the secret stays good.
    older: Vec<SipHasher24>,
}

impl Cookies {
    /// Uses `newest` for what it hands out and accepts what was made with any of `older`.
    pub(crate) fn new(newest: [u8; 16], older: &[[u8; 16]]) -> Self {
        Self {
            newest: SipHasher24::new_with_key(&newest),
            older: older.iter().map(SipHasher24::new_with_key).collect(),
        }
    }

    /// What `cookie` says about `client`, and the whole cookie that goes back: with the server part that came while it is
    /// good, young and of the newest secret, with a fresh one otherwise.
    ///
    /// `cookie` has 8 or 16 to 40 octets, as the reader checks; anything else is bad. `now_s` is Unix time modulo 2^32;
    /// times are compared by serial arithmetic (RFC 1982), so its overflow in 2106 does no harm. Pure.
    ///
    /// Source: RFC 9018 sections 4 and 4.3, checked against the examples of its appendix A.
    pub(crate) fn judge(&self, cookie: &[u8], client: IpAddr, now_s: u32) -> (Standing, [u8; WHOLE]) {
        let Some((own, server)) = cookie.split_first_chunk::<CLIENT>() else {
            return (Standing::Bad, self.fresh([0; CLIENT], client, now_s));
        };
        let fresh = || self.fresh(*own, client, now_s);
        if server.is_empty() {
            return (Standing::New, fresh());
        }
        let Ok(server) = <[u8; 16]>::try_from(server) else { return (Standing::Bad, fresh()) };
        let [version, r0, r1, r2, t0, t1, t2, t3, hash @ ..] = server;
        let head = [version, r0, r1, r2, t0, t1, t2, t3];
        let age_s = now_s.wrapping_sub(u32::from_be_bytes([t0, t1, t2, t3])) as i32;
        // One comparison of two words takes the same time wherever they differ.
        let made_with = |secret| u64::from_le_bytes(hash) == hash_of(secret, *own, head, client);
        let is_newest = made_with(&self.newest);
        let is_ours = self.older.iter().fold(is_newest, |found, secret| found | made_with(secret));
        if version != VERSION || !is_ours || !(-AHEAD_S..=OLDEST_S).contains(&age_s) {
            return (Standing::Bad, fresh());
        }
        if is_newest && (0..=RENEW_S).contains(&age_s) {
            return (Standing::Good, whole(*own, server));
        }
        (Standing::Good, fresh())
    }

    fn fresh(&self, own: [u8; CLIENT], client: IpAddr, now_s: u32) -> [u8; WHOLE] {
        let [t0, t1, t2, t3] = now_s.to_be_bytes();
        let head = [VERSION, 0, 0, 0, t0, t1, t2, t3];
        let mut server = [0; 16];
        server[..8].copy_from_slice(&head);
        server[8..].copy_from_slice(&hash_of(&self.newest, own, head, client).to_le_bytes());
        whole(own, server)
    }
}

impl std::fmt::Debug for Cookies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cookies").field("secrets", &(1 + self.older.len())).finish_non_exhaustive()
    }
}

fn whole(own: [u8; CLIENT], server: [u8; 16]) -> [u8; WHOLE] {
    let mut whole = [0; WHOLE];
    whole[..CLIENT].copy_from_slice(&own);
    whole[CLIENT..].copy_from_slice(&server);
    whole
}

/// SipHash-2-4 over the client's part, the server part up to its hash as it came, and the address.
fn hash_of(secret: &SipHasher24, own: [u8; CLIENT], head: [u8; 8], client: IpAddr) -> u64 {
    let mut input = [0; 32];
    input[..8].copy_from_slice(&own);
    input[8..16].copy_from_slice(&head);
    match client {
        IpAddr::V4(v4) => {
            input[16..20].copy_from_slice(&v4.octets());
            secret.hash(&input[..20])
        }
        IpAddr::V6(v6) => {
            input[16..].copy_from_slice(&v6.octets());
            secret.hash(&input)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;

    const FIRST: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";
    const ROLLED: &str = "dd3bdf9344b678b185a6f5cb60fca715";
    const NEXT: &str = "445536bcd2513298075a5d379663c962";

    fn bytes(hex: &str) -> Vec<u8> {
        HEXLOWER.decode(hex.as_bytes()).unwrap()
    }

    fn secret(hex: &str) -> [u8; 16] {
        bytes(hex).try_into().unwrap()
    }

    #[test]
    fn the_examples_of_rfc_9018_are_made_and_recognised() {
        // Client, secrets newest first, cookie that came, Unix time, what it is worth, cookie that goes back.
        for (example, client, secrets, came, now_s, standing, goes) in [
            (
                "A.1",
                "198.51.100.100",
                vec![FIRST],
                "2464c4abcf10c957",
                1_559_731_985,
                Standing::New,
                "2464c4abcf10c957010000005cf79f111f8130c3eee29480",
            ),
            (
                "A.2",
                "198.51.100.100",
                vec![FIRST],
                "2464c4abcf10c957010000005cf79f111f8130c3eee29480",
                1_559_734_385,
                Standing::Good,
                "2464c4abcf10c957010000005cf7a871d4a564a1442aca77",
            ),
            (
                "A.3, of which the request is older than an hour by its own times",
                "203.0.113.203",
                vec![FIRST],
                "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5",
                1_559_734_700,
                Standing::Bad,
                "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e",
            ),
            (
                "A.4",
                "2001:db8:220:1:59de:d0f4:8769:82b8",
                vec![NEXT, ROLLED],
                "22681ab97d52c298010000005cf7c57926556bd0934c72f8",
                1_559_741_961,
                Standing::Good,
                "22681ab97d52c298010000005cf7c609a6bb79d16625507a",
            ),
        ] {
            let secrets: Vec<[u8; 16]> = secrets.into_iter().map(secret).collect();
            let cookies = Cookies::new(secrets[0], &secrets[1..]);
            let (found, back) = cookies.judge(&bytes(came), client.parse().unwrap(), now_s);
            assert_eq!((found, HEXLOWER.encode(&back).as_str()), (standing, goes), "{example}");
        }
        let cookies = Cookies::new(secret(FIRST), &[]);
        let reserved = bytes("fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5");
        let (found, _) = cookies.judge(&reserved, "203.0.113.203".parse().unwrap(), 1_559_727_985);
        assert_eq!(found, Standing::Good, "A.3 at its own time: the reserved octets are hashed as they came");
    }

    #[test]
    fn a_cookie_is_good_for_an_hour_and_replaced_after_half_of_it() {
        let cookies = Cookies::new([7; 16], &[]);
        let client: IpAddr = "192.0.2.1".parse().unwrap();
        // The last is a moment before the clock's overflow.
        for made in [1_000_000_u32, u32::MAX - 10] {
            let (_, cookie) = cookies.judge(&[1; 8], client, made);
            for (age, standing, is_kept) in [
                (0_i32, Standing::Good, true),
                (1_800, Standing::Good, true),
                (1_801, Standing::Good, false),
                (3_600, Standing::Good, false),
                (3_601, Standing::Bad, false),
                (-1, Standing::Good, false),
                (-300, Standing::Good, false),
                (-301, Standing::Bad, false),
            ] {
                let (found, back) = cookies.judge(&cookie, client, made.wrapping_add_signed(age));
                assert_eq!((found, back == cookie), (standing, is_kept), "{age} s after {made}");
            }
        }
    }

    #[test]
    fn whatever_is_changed_in_a_cookie_makes_it_bad() {
        let cookies = Cookies::new([7; 16], &[[8; 16]]);
        let client: IpAddr = "2001:db8::1".parse().unwrap();
        let (_, cookie) = cookies.judge(&[1; 8], client, 1_000);
        assert_eq!(cookies.judge(&cookie, client, 1_000).0, Standing::Good);
        for bit in 0..WHOLE * 8 {
            let mut changed = cookie;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(cookies.judge(&changed, client, 1_000).0, Standing::Bad, "bit {bit}");
        }
        assert_eq!(cookies.judge(&cookie, "2001:db8::2".parse().unwrap(), 1_000).0, Standing::Bad, "another address");
        assert_eq!(cookies.judge(&cookie[..23], client, 1_000).0, Standing::Bad, "another length");
        assert_eq!(Cookies::new([9; 16], &[]).judge(&cookie, client, 1_000).0, Standing::Bad, "another secret");
    }
}
