//! How clients are treated, made from one snapshot's settings, and what an answer counts as when they are limited.

use std::fmt::Write;
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

/// A name in wire form as text; octets that are no letters, digits, hyphens or underscores are escaped (RFC 1035 section
/// 5.1).
pub(crate) fn presentation(wire: &[u8]) -> String {
    let mut text = String::with_capacity(wire.len());
    let mut rest = wire;
    while let [len, tail @ ..] = rest
        && *len > 0
    {
        let Some((label, behind)) = tail.split_at_checked(usize::from(*len)) else { break };
        for octet in label {
            if octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'*') {
                text.push(char::from(*octet));
            } else {
                // Writing to a string cannot fail.
                let _ = write!(text, "\\{octet:03}");
            }
        }
        text.push('.');
        rest = behind;
    }
    if text.is_empty() { ".".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::response::{Kind, RrSet};
    use crate::wire;
    use hickory_proto::rr::rdata::{A, NS};
    use hickory_proto::rr::{RData, RecordType};

    #[test]
    fn responses_are_counted_by_what_they_say_and_not_by_their_code_alone() {
        let name: Name = "zone.test.".parse().unwrap();
        let set = |data| vec![RrSet::one(name.clone(), 60, data)];
        let ns = || set(RData::NS(NS(name.clone())));
        let found = |answers| Response::found(Kind::None, answers);
        let no_name = Some(Denial::NoName { name: name.clone() });
        let no_data = Some(Denial::NoData { name: name.clone(), types: vec![RecordType::A] });
        let message =
            b"\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x04zone\x04test\x00\x00\x01\x00\x01".as_slice();
        let reading = wire::read(message).unwrap();
        let by_question = &b"\x01a\x04zone\x04test\x00"[..];
        let by_owner = &b"\x04zone\x04test\x00"[..];
        for (response, expected, account) in [
            (found(set(RData::A(A::new(192, 0, 2, 1)))), Category::Answer, Some(by_question)),
            (Response { denial: no_data, authority: ns(), ..found(vec![]) }, Category::NoData, Some(by_question)),
            (found(vec![]), Category::NoData, Some(by_question)),
            (
                Response { code: ResponseCode::NXDomain, authority: ns(), ..found(vec![]) },
                Category::NxDomain,
                Some(by_owner),
            ),
            (Response { denial: no_name, authority: ns(), ..found(vec![]) }, Category::NxDomain, Some(by_owner)),
            (
                Response { authority: ns(), ..Response::error(ResponseCode::NoError) },
                Category::Referral,
                Some(by_owner),
            ),
            (Response::error(ResponseCode::NoError), Category::NoData, Some(by_question)),
            (Response::error(ResponseCode::FormErr), Category::Error, None),
            (Response::error(ResponseCode::ServFail), Category::Error, None),
        ] {
            assert_eq!(category(&response), expected, "{response:?}");
            let seen = std::cell::RefCell::new(None);
            account_name(&response, expected, &reading, |name| {
                *seen.borrow_mut() = Some(name.to_vec());
                1
            });
            assert_eq!(seen.into_inner().as_deref(), account, "{response:?}");
        }
    }

    #[test]
    fn names_are_presented_with_what_is_no_letter_escaped() {
        assert_eq!(presentation(b"\x03aPp\x04test\x00"), "aPp.test.");
        assert_eq!(presentation(b"\x00"), ".");
        assert_eq!(presentation(b"\x03a\x00\n\x00"), "a\\000\\010.");
    }

    #[test]
    fn what_is_drawn_differs() {
        assert_ne!(draw(), draw());
    }
}
