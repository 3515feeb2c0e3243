use hickory_proto::ProtoError;
use hickory_proto::dnssec::Nsec3HashAlgorithm;
use hickory_proto::dnssec::rdata::{DNSSECRData, NSEC, NSEC3, NSEC3PARAM};
use hickory_proto::rr::{Name, RData, RecordType};

use crate::response::RrSet;

/// Octets that a name may have in wire form, with its root.
const MAX_NAME: usize = 255;
/// Octets that a label may have.
const MAX_LABEL: usize = 63;
/// The type that says "there is no such name" in a bitmap (RFC 9824 section 2).
pub(super) const NXNAME: RecordType = RecordType::Unknown(128);

/// The record that proves what is, and so what is not, at `name`: it covers that name and nothing else.
///
/// `types` are what exists there beside the proof itself, `[NXNAME]` if the name does not. As NSEC it has RRSIG and
/// NSEC in its bitmap; as NSEC3 it stands at the hash of the name below `origin`, with RRSIG in the bitmap only where
/// there is something signed at the name itself.
///
/// Errors: a name that cannot be written, which none that was asked for is.
///
/// Source: RFC 9824 sections 3.1 to 3.4; RFC 9276 for the parameters of NSEC3.
pub(super) fn proof(
    name: &Name,
    origin: &Name,
    types: &[RecordType],
    nsec3: bool,
    ttl_s: u32,
) -> Result<RrSet, ProtoError> {
    if !nsec3 {
        let next = successor(name, origin)?;
        let nsec = NSEC::new_cover_self(next, types.iter().copied());
        return Ok(RrSet::one(name.clone(), ttl_s, RData::DNSSEC(DNSSECRData::NSEC(nsec))));
    }
    let mut hash = Nsec3HashAlgorithm::SHA1.hash(&[], name, 0)?.as_ref().to_vec();
    let label = data_encoding::BASE32_DNSSEC.encode(&hash);
    let owner = origin.prepend_label(label)?;
    increment(&mut hash);
    let is_cut = types.contains(&RecordType::NS) && !types.contains(&RecordType::SOA);
    let has_signed = if is_cut { types.contains(&RecordType::DS) } else { !types.is_empty() && types != [NXNAME] };
    let bitmap = types.iter().copied().chain(has_signed.then_some(RecordType::RRSIG));
    let nsec3 = NSEC3::new(Nsec3HashAlgorithm::SHA1, false, 0, Vec::new(), hash, bitmap);
    Ok(RrSet::one(owner, ttl_s, RData::DNSSEC(DNSSECRData::NSEC3(nsec3))))
}

/// The parameters of NSEC3 as the apex tells them: SHA-1, no further iterations, no salt (RFC 9276 section 3.1).
pub(super) fn nsec3_parameters() -> RData {
    RData::DNSSEC(DNSSECRData::NSEC3PARAM(NSEC3PARAM::new(Nsec3HashAlgorithm::SHA1, false, 0, Vec::new())))
}

/// The name right behind `name` in canonical order: `\000.name` where that fits.
///
/// Lower case throughout, because the name inside an NSEC record is signed as it is written (RFC 6840 section 5.1),
/// and the case in which somebody asked must not make another signature. A name too long for another label is
/// succeeded by one with a longer or greater first label, the last of all by `origin`.
///
/// Source: RFC 9824 section 3.1; RFC 4471 section 3.1.2 for the rest.
pub(super) fn successor(name: &Name, origin: &Name) -> Result<Name, ProtoError> {
    let name = name.to_lowercase();
    let octets: usize = name.iter().map(|label| label.len() + 1).sum::<usize>() + 1;
    if octets + 2 <= MAX_NAME {
        return fqdn(std::iter::once(&b"\0"[..]).chain(name.iter()));
    }
    let mut labels: Vec<Vec<u8>> = name.iter().map(<[u8]>::to_vec).collect();
    if octets < MAX_NAME && labels[0].len() < MAX_LABEL {
        labels[0].push(0);
        return fqdn(labels.iter().map(Vec::as_slice));
    }
    while labels.len() > origin.iter().count() {
        let label = &mut labels[0];
        while let Some(last) = label.pop() {
            if last < u8::MAX {
                // Capitals sort as small letters do, so what follows `@` is the first octet behind them.
                label.push(if last == b'@' { b'[' } else { last + 1 });
                return fqdn(labels.iter().map(Vec::as_slice));
            }
        }
        labels.remove(0);
    }
    Ok(origin.to_lowercase())
}

fn fqdn<'a>(labels: impl IntoIterator<Item = &'a [u8]>) -> Result<Name, ProtoError> {
    let mut name = Name::from_labels(labels)?;
    name.set_fqdn(true);
    Ok(name)
}

/// Adds one to a number in network order; the last is followed by zero, as the hashes' order is a ring.
fn increment(number: &mut [u8]) {
    for octet in number.iter_mut().rev() {
        *octet = octet.wrapping_add(1);
        if *octet != 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(labels: &[&[u8]]) -> Name {
        fqdn(labels.iter().copied()).unwrap()
    }

    #[test]
    fn the_next_name_is_the_least_below_in_lower_case() {
        let origin = name(&[b"test"]);
        let next = successor(&name(&[b"Www", b"Test"]), &origin).unwrap();
        assert!(next.eq_case(&name(&[b"\0", b"www", b"test"])), "{next}");
    }

    #[test]
    fn names_too_long_for_another_label_have_a_successor_too() {
        let origin = name(&[b"test"]);
        let (a, z) = ([b'a'; 63], [0xff; 63]);
        let long = |first: &[u8]| name(&[first, &a, &a, &a[..56], b"test"]);
        let octets = |name: &Name| name.iter().map(|l| l.len() + 1).sum::<usize>() + 1;
        assert_eq!(octets(&long(&a)), 255);
        for (before, after) in [
            (long(&a), long(&[&a[..62], b"b"].concat())),
            (long(&a[..62]), long(&[&a[..62], b"\0"].concat())),
            (long(&[&a[..62], b"@"].concat()), long(&[&a[..62], b"["].concat())),
            (long(&[&a[..61], b"\xff\xff"].concat()), long(&[&a[..60], b"b"].concat())),
            (long(&z), name(&[&[&a[..62], b"b"].concat(), &a, &a[..56], b"test"])),
            (name(&[&z, &z, &z, &z[..56], b"test"]), origin.clone()),
        ] {
            let next = successor(&before, &origin).unwrap();
            assert!(next.eq_case(&after), "{before} is followed by {next}, not {after}");
            assert!(next == origin || before < next, "{before} {next}");
        }
    }

    #[test]
    fn the_highest_hash_is_followed_by_zero() {
        let mut hash = [0xff; 3];
        increment(&mut hash);
        assert_eq!(hash, [0; 3]);
        increment(&mut hash);
        assert_eq!(hash, [0, 0, 1]);
        let mut hash = [1, 0xff];
        increment(&mut hash);
        assert_eq!(hash, [2, 0]);
    }
}
