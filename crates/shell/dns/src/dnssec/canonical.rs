use hickory_proto::ProtoError;
use hickory_proto::rr::{DNSClass, Name, RData};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};

use crate::response::RrSet;

/// What of `set` is signed, whoever signs it and whenever: its records in canonical form and order, each once.
///
/// The case of the owner and the order of the data make no difference; the TTL does. So two answers with equal bytes
/// share a signature. The owner is taken as it stands: a set made from a wildcard is signed under the name that it is
/// answered for.
///
/// Errors: data that cannot be written, which none of ours is.
///
/// Source: RFC 4034 sections 6.2 and 6.3, RFC 6840 section 5.1.
pub(super) fn canonical(set: &RrSet) -> Result<Vec<u8>, ProtoError> {
    let mut data = set.data.iter().map(in_canonical_form).collect::<Result<Vec<_>, _>>()?;
    if let Some(at) = names_from(set) {
        // Length octets are at most 63, below every letter, so names can be lowered as they stand.
        data.iter_mut().filter_map(|data| data.get_mut(at..)).for_each(<[u8]>::make_ascii_lowercase);
    }
    data.sort_unstable();
    data.dedup();
    let mut head = wire(&set.owner)?;
    head.extend(u16::from(set.record_type).to_be_bytes());
    head.extend(u16::from(DNSClass::IN).to_be_bytes());
    head.extend(set.ttl_s.to_be_bytes());
    let mut bytes = Vec::with_capacity(data.iter().map(|d| head.len() + 2 + d.len()).sum());
    for data in &data {
        let len = u16::try_from(data.len()).map_err(|_| ProtoError::from("record data above 65,535 octets"))?;
        bytes.extend_from_slice(&head);
        bytes.extend(len.to_be_bytes());
        bytes.extend_from_slice(data);
    }
    Ok(bytes)
}

/// Where the names begin in data whose names are signed in lower case, though it is known only as octets; none for all
/// other data. What is behind that place is nothing but names.
fn names_from(set: &RrSet) -> Option<usize> {
    if !set.data.iter().all(|data| matches!(data, RData::Unknown { .. })) {
        return None;
    }
    match u16::from(set.record_type) {
        // MD, MF, MB, MG, MR, MINFO, RP, DNAME.
        3 | 4 | 7..=9 | 14 | 17 | 39 => Some(0),
        // AFSDB, RT, PX, KX: a preference comes first.
        18 | 21 | 26 | 36 => Some(2),
        _ => None,
    }
}

/// `name` in wire form with its root, lower case.
pub(super) fn wire(name: &Name) -> Result<Vec<u8>, ProtoError> {
    let mut bytes = Vec::with_capacity(name.len() + 1);
    let mut encoder = BinEncoder::new(&mut bytes);
    encoder.set_name_encoding(NameEncoding::UncompressedLowercase);
    name.emit(&mut encoder)?;
    Ok(bytes)
}

/// The bytes of `part` as they are signed: names uncompressed, and in lower case where the type is an old one.
pub(super) fn in_canonical_form(part: &impl BinEncodable) -> Result<Vec<u8>, ProtoError> {
    let mut bytes = Vec::new();
    let mut encoder = BinEncoder::new(&mut bytes);
    encoder.set_canonical_form(true);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    part.emit(&mut encoder)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::RecordType;
    use hickory_proto::rr::rdata::NULL;

    use super::*;

    #[test]
    fn names_in_old_types_are_lowered_even_where_the_type_is_not_known() {
        let name = Name::from_ascii("perigee.test.").unwrap();
        let set = |code: u16, data: &[u8]| {
            let record_type = RecordType::from(code);
            let data = vec![RData::Unknown { code: record_type, rdata: NULL::with(data.to_vec()) }];
            canonical(&RrSet { owner: name.clone(), record_type, ttl_s: 60, data }).unwrap()
        };
        for (code, head) in [(39, &b""[..]), (17, b""), (18, b"AB"), (36, b"AB")] {
            let [upper, lower] = [&b"\x03WwW\x04Test\0"[..], b"\x03www\x04test\0"].map(|name| [head, name].concat());
            assert_eq!(set(code, &upper), set(code, &lower), "{code}");
            assert!(set(code, &upper).windows(upper.len()).any(|w| w == lower), "{code}");
        }
        for code in [65_280, 257] {
            assert_ne!(set(code, b"\x03WwW\0"), set(code, b"\x03www\0"), "{code}");
        }
        assert_ne!(set(18, b"AB\0"), set(18, b"ab\0"), "a preference is no name");
        set(18, b"A");
    }
}
