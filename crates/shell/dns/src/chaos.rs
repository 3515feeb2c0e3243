use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::{Name, RData};

use crate::response::RrSet;

/// Class CH, and what is asked for in it.
pub(crate) const CLASS: u16 = 3;
const TXT_TYPE: u16 = 16;
/// Names in wire form, lower case.
const VERSION: &[u8] = b"\x07version\x04bind\x00";
const IDENTITY: [&[u8]; 2] = [b"\x02id\x06server\x00", b"\x08hostname\x04bind\x00"];

/// What the server says of itself to a question of class CH; none: it says nothing.
///
/// Source: RFC 4892; the names are those that BIND made common. TTL 0, as an answer holds for one server of many.
pub(crate) fn answer(name: &Name, wire: &[u8], qtype: u16, identity: Option<&str>) -> Option<RrSet> {
    if qtype != TXT_TYPE {
        return None;
    }
    let is = |known: &[u8]| wire.eq_ignore_ascii_case(known);
    let text = if is(VERSION) {
        concat!("Perigee ", env!("CARGO_PKG_VERSION"))
    } else if IDENTITY.into_iter().any(is) {
        identity?
    } else {
        return None;
    };
    Some(RrSet::one(name.clone(), 0, RData::TXT(TXT::new(vec![text.into()]))))
}
