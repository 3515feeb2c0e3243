//! How clients are treated, made from one snapshot's settings, and what an answer counts as when they are limited.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::Name;
use perigee_model::Snapshot;
use rustls::crypto::ring;

use crate::cookie::Cookies;
use crate::rate_limit::Category;
use crate::response::{Denial, Response};
use crate::wire::Reading;

/// The settings of one snapshot, made ready.
#[derive(Debug)]
pub(crate) struct Manners {
    snapshot: Arc<Snapshot>,
    cookies: Option<Cookies>,
}

impl Manners {
    /// The manners of `snapshot`; `drawn` is the cookies' secret if it names none.
    pub(crate) fn new(snapshot: Arc<Snapshot>, drawn: [u8; 16]) -> Self {
        let server = &snapshot.dns.server;
        let cookies = server.cookies.then(|| match server.cookie_secrets.split_first() {
            Some((newest, older)) => Cookies::new(*newest, older),
            None => Cookies::new(drawn, &[]),
        });
        Self { cookies, snapshot }
    }

    /// Whether it is made from this very snapshot.
    pub(crate) fn is_of(&self, snapshot: &Arc<Snapshot>) -> bool {
        Arc::ptr_eq(&self.snapshot, snapshot)
    }

    /// None if cookies are off.
    pub(crate) const fn cookies(&self) -> Option<&Cookies> {
        self.cookies.as_ref()
    }

    /// Octets of a UDP answer to a client without a good cookie.
    pub(crate) fn uncookied_octets(&self) -> Option<u16> {
        self.snapshot.dns.server.uncookied_octets
    }
}

/// Sixteen octets of entropy.
pub(crate) fn draw() -> [u8; 16] {
    let mut octets = [0; 16];
    if ring::default_provider().secure_random.fill(&mut octets).is_err() {
        // The standard library has keys of its own from the system, drawn at another time.
        let state = RandomState::new();
        octets[..8].copy_from_slice(&state.hash_one(0).to_le_bytes());
        octets[8..].copy_from_slice(&state.hash_one(1).to_le_bytes());
    }
    octets
}

/// What rate limiting counts `response` as. A signed denial says NOERROR for names that do not exist (RFC 9824), so what
/// is denied counts rather than the code.
pub(crate) const fn category(response: &Response) -> Category {
    match (response.code, &response.denial) {
        (ResponseCode::NXDomain, _) | (ResponseCode::NoError, Some(Denial::NoName { .. })) => Category::NxDomain,
        (ResponseCode::NoError, _) if !response.answers.is_empty() => Category::Answer,
        (ResponseCode::NoError, _) if response.authoritative => Category::NoData,
        (ResponseCode::NoError, _) if !response.authority.is_empty() => Category::Referral,
        (ResponseCode::NoError, _) => Category::NoData,
        _ => Category::Error,
    }
}

/// The account's name within its category: the zone of what does not exist, the cut of a referral, otherwise the
/// question's name; 0 for errors. `key` hashes a name in wire form.
pub(crate) fn account_name(
    response: &Response,
    category: Category,
    reading: &Reading<'_>,
    key: impl Fn(&[u8]) -> u64,
) -> u64 {
    match category {
        Category::Error => 0,
        Category::NxDomain | Category::Referral => {
            response.authority.first().map_or(0, |set| key(&wire_of(&set.owner)))
        }
        Category::Answer | Category::NoData => reading.question.map_or(0, |question| key(question.name)),
    }
}

/// A name in wire form. Only for what is limited by zone or cut, whose names are ours and short.
fn wire_of(name: &Name) -> Vec<u8> {
    let mut wire = Vec::with_capacity(64);
    for label in name.iter() {
        // A label of a name has at most 63 octets.
        wire.push(label.len() as u8);
        wire.extend(label);
    }
    wire.push(0);
    wire
}

/// A name in wire form as text, with what is no letter escaped.
pub(crate) fn presentation(wire: &[u8]) -> String {
    let mut labels = Vec::new();
    let mut rest = wire;
    while let [len, tail @ ..] = rest
        && *len > 0
    {
        let Some((label, behind)) = tail.split_at_checked(usize::from(*len)) else { break };
        labels.push(label);
        rest = behind;
    }
    let mut name = Name::from_labels(labels).unwrap_or_default();
    name.set_fqdn(true);
    name.to_string()
}
