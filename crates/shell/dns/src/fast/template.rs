use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RData};

use super::HEADER;
use super::write::Writer;
use crate::encode::{decode, encode};
use crate::response::{Denial, Kind, Response};
use crate::zones::{LowerName, Zone, below, labels};

/// The records of a zone's negative answers, as they stand behind any question in the zone.
///
/// Their names point into the question's name, at the zone's own. How far that is from the question's start differs
/// from one name to the next, and every pointer with it by as much; nothing else does.
#[derive(Debug)]
pub(super) struct Template {
    octets: Box<[u8]>,
    /// Where in `octets` pointers are, two octets each, made for a question with `above` octets before the zone's name.
    pointers: Box<[usize]>,
    above: usize,
    /// Labels that stand right above the zone's name in the records, with their length octets: to names below those
    /// there are shorter pointers.
    labels: Box<[Box<[u8]>]>,
}

impl Template {
    /// The template of `zone`; none if its records are not of this shape.
    ///
    /// Written twice by the one encoder that there is, for names of different lengths: what differs is pointers.
    pub(super) fn new(zone: &Zone) -> Option<Self> {
        let (shorter, longer) = (records(zone, b"\x01-")?, records(zone, b"\x02--")?);
        if shorter.len() != longer.len() {
            return None;
        }
        let differ: Vec<usize> = (0..shorter.len()).filter(|at| shorter[*at] != longer[*at]).collect();
        let mut pointers = Vec::with_capacity(differ.len());
        for at in differ {
            let from = at.checked_sub(1)?;
            let pointer = |octets: &[u8]| u16::from_be_bytes([octets[from], octets[at]]);
            // Below 256, so that the low octet alone differs.
            if shorter[from] != 0xc0 || pointer(&longer) != pointer(&shorter) + 1 {
                return None;
            }
            pointers.push(from);
        }
        Some(Self { octets: shorter.into(), pointers: pointers.into(), above: 2, labels: labels_of(zone) })
    }

    /// Puts the records behind the question of `name`, of which `above` octets stand before the zone's name. None:
    /// they look otherwise for this name.
    pub(super) fn write(&self, writer: &mut Writer<'_>, name: &[u8], above: usize) -> Option<()> {
        if self.labels.iter().any(|label| ends_with_label(&name[..above], label)) {
            return None;
        }
        let from = writer.len();
        writer.put(&self.octets)?;
        let octets = writer.since(from);
        for at in &self.pointers {
            let pointer = u16::from_be_bytes([octets[*at], octets[*at + 1]]) + above as u16 - self.above as u16;
            octets[*at..*at + 2].copy_from_slice(&pointer.to_be_bytes());
        }
        writer.count_authority();
        Some(())
    }
}

/// Whether the last octets of `name` are those of `label`, whatever the case. They may belong to a longer label, and
/// then the slow path has work to do that it could have been spared.
fn ends_with_label(name: &[u8], label: &[u8]) -> bool {
    name.len().checked_sub(label.len()).is_some_and(|at| name[at..].eq_ignore_ascii_case(label))
}

/// The labels right above the apex of names in the SOA record, with their length octets.
fn labels_of(zone: &Zone) -> Box<[Box<[u8]>]> {
    let names = zone.negative_soa.data.iter().flat_map(|data| match data {
        RData::SOA(soa) => vec![&soa.mname, &soa.rname],
        _ => Vec::new(),
    });
    let label = |name: &Name| {
        let name = LowerName::of(name)?;
        let above = below(name.as_wire(), zone.key())?;
        let (at, _) = labels(above).last()?;
        Some(above[at..].into())
    };
    names.filter_map(label).collect()
}

/// The records behind the question in a negative answer for the name with `label` above the zone's.
fn records(zone: &Zone, label: &[u8]) -> Option<Vec<u8>> {
    let mut query = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend([label, zone.key(), &[0, 0, 1, 0, 1]].concat());
    let (header, queries) = decode(&query, true)?;
    let name = queries.queries().first()?.original().name().clone();
    let mut response = Response::found(Kind::Absent, Vec::new());
    response.deny(ResponseCode::NoError, zone, Denial::NoName { name });
    let bytes = encode(&header, &queries, None, &response, u16::MAX).ok()?;
    let one_of_authority = bytes.get(6..HEADER)? == [0, 0, 0, 1, 0, 0];
    one_of_authority.then(|| bytes[query.len()..].to_vec())
}
