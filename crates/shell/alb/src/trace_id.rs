use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

pub(crate) const TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");
/// With more request headers than this the field is replaced rather than extended.
const HEADERS_MAX: usize = 7 * 1024;

/// Makes trace identifiers: unique, not secret.
#[derive(Debug)]
pub(crate) struct TraceIds {
    seed: u64,
    next: AtomicU64,
}

impl TraceIds {
    /// A source of its own, seeded by the system.
    pub(crate) fn new() -> Self {
        Self { seed: RandomState::new().hash_one(1_u8), next: AtomicU64::new(RandomState::new().hash_one(2_u8)) }
    }

    /// `1-<epoch seconds, 8 hex>-<24 hex>`.
    fn fresh(&self) -> String {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let (a, b) = (mix(n ^ self.seed), mix(n.wrapping_mul(3).wrapping_add(self.seed)));
        let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
        format!("1-{:08x}-{a:016x}{:08x}", epoch & 0xffff_ffff, b >> 32)
    }

    /// Sets the field on a request whose headers take `headers_bytes`.
    ///
    /// Without a field, a `Root` is made; with a root, a `Self` of ours comes first and replaces another's; with other
    /// parts only, a root is put before them.
    ///
    /// Source: ALB guide, "Request tracing for your Application Load Balancer"; `alb.md` section 18.5.
    pub(crate) fn apply(&self, headers: &mut HeaderMap, headers_bytes: usize) {
        let fresh = self.fresh();
        let before = headers.get(TRACE_ID).filter(|_| headers_bytes <= HEADERS_MAX).and_then(|v| v.to_str().ok());
        let value = match before {
            None => format!("Root={fresh}"),
            Some(before) => {
                let parts = || before.split(';').map(str::trim).filter(|p| !p.is_empty());
                let has_root = parts().any(|p| p.starts_with("Root="));
                let mut value = if has_root { format!("Self={fresh}") } else { format!("Root={fresh}") };
                for part in parts().filter(|p| !(has_root && p.starts_with("Self="))) {
                    value.push(';');
                    value.push_str(part);
                }
                value
            }
        };
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(TRACE_ID, value);
        }
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
const fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(before: Option<&str>, bytes: usize) -> String {
        let mut headers = HeaderMap::new();
        if let Some(before) = before {
            headers.insert(TRACE_ID, HeaderValue::from_str(before).expect("it is a header value"));
        }
        TraceIds::new().apply(&mut headers, bytes);
        headers[TRACE_ID].to_str().expect("it is text").to_owned()
    }

    #[test]
    fn a_root_is_made_once_and_every_hop_adds_its_self() {
        let root = applied(None, 100);
        let id = root.strip_prefix("Root=1-").expect("a fresh root");
        assert_eq!((id.len(), id.as_bytes()[8]), (33, b'-'));
        assert!(id.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit()));

        let second = applied(Some("Root=1-a-b;CalledFrom=app"), 100);
        assert!(second.starts_with("Self=1-") && second.ends_with(";Root=1-a-b;CalledFrom=app"), "{second}");
        let third = applied(Some("Self=1-x-y;Root=1-a-b"), 100);
        assert!(third.starts_with("Self=1-") && !third.contains("1-x-y") && third.ends_with(";Root=1-a-b"), "{third}");
        let other = applied(Some("CalledFrom=app"), 100);
        assert!(other.starts_with("Root=1-") && other.ends_with(";CalledFrom=app"), "{other}");
    }

    #[test]
    fn large_headers_lose_the_old_field() {
        let value = applied(Some("Root=1-a-b;Big=x"), HEADERS_MAX + 1);
        assert!(value.starts_with("Root=1-") && !value.contains("1-a-b"), "{value}");
    }

    #[test]
    fn identifiers_do_not_repeat() {
        let ids = TraceIds::new();
        let made: std::collections::BTreeSet<String> = (0..10_000).map(|_| ids.fresh()).collect();
        assert_eq!(made.len(), 10_000);
    }
}
