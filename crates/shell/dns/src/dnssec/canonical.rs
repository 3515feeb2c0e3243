use hickory_proto::ProtoError;
use hickory_proto::rr::{DNSClass, Name};
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
