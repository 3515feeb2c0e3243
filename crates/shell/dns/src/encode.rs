use hickory_proto::ProtoError;
use hickory_proto::op::{Header, HeaderCounts, Metadata, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, BinEncodable, BinEncoder};
use hickory_server::zone_handler::Queries;

use crate::options::{OptRecord, pad};
use crate::response::{Response, RrSet};
use crate::wire::Reading;

/// UDP payload size that we state and never exceed (DNS flag day 2020).
pub(crate) const UDP_PAYLOAD: u16 = 1_232;
/// UDP payload size of a client that states none (RFC 1035 section 4.2.1).
const PLAIN_UDP_PAYLOAD: u16 = 512;
/// Octets of a header: where the question begins.
const HEADER: usize = 12;
/// Where a header's count of additional records is.
const ARCOUNT: usize = 10;

/// The header and, if `with_question`, the one question of a message; none if hickory cannot read them.
pub(crate) fn decode(message: &[u8], with_question: bool) -> Option<(Header, Queries)> {
    let mut decoder = BinDecoder::new(message);
    let header = Header::read(&mut decoder).ok()?;
    let queries = Queries::read(&mut decoder, usize::from(with_question)).ok()?;
    Some((header, queries))
}

/// The most octets that a response to `reading` may have over UDP (`spec/dns.md` §5.4).
pub(crate) fn udp_limit(reading: &Reading<'_>) -> u16 {
    reading.opt.map_or(PLAIN_UDP_PAYLOAD, |opt| opt.payload.clamp(PLAIN_UDP_PAYLOAD, UDP_PAYLOAD))
}

/// The bytes of `response`: the question as it came, and `opt` if the query had one.
///
/// At most `limit` octets. What does not fit leaves the additional section first, set by set from the back, which needs
/// no TC unless it was a delegation's glue (RFC 9471); then an empty answer with TC, rather than part of one
/// (`spec/dns.md` §5.5). Errors: a record that cannot be written, which none of ours is.
pub(crate) fn encode(
    request: &Header,
    queries: &Queries,
    opt: Option<&OptRecord<'_>>,
    response: &Response,
    limit: u16,
) -> Result<Vec<u8>, ProtoError> {
    let mut metadata = metadata_of(request, response);
    let tail = opt.map(OptRecord::octets).unwrap_or_default();
    let room = usize::from(limit).saturating_sub(tail.len());
    let is_referral =
        response.answers.is_empty() && response.authority.first().is_some_and(|set| set.record_type == RecordType::NS);
    for kept in (0..=response.additional.len()).rev() {
        metadata.truncation = is_referral && kept < response.additional.len();
        // What hickory cannot write at all has more octets than a message may.
        let Ok(bytes) =
            write(metadata, queries, [&response.answers, &response.authority, &response.additional[..kept]])
        else {
            continue;
        };
        if bytes.len() <= room {
            return Ok(finish(bytes, opt, &tail));
        }
    }
    Ok(finish(empty(metadata, queries)?, opt, &tail))
}

/// An answer without anything but the question, with TC: what a limited client gets.
pub(crate) fn stub(
    request: &Header,
    queries: &Queries,
    opt: Option<&OptRecord<'_>>,
    response: &Response,
) -> Result<Vec<u8>, ProtoError> {
    let tail = opt.map(OptRecord::octets).unwrap_or_default();
    Ok(finish(empty(metadata_of(request, response), queries)?, opt, &tail))
}

/// A refusal to a message of which not even the header's question could be read: identifier, flags and code.
pub(crate) fn bare(message: &[u8], code: ResponseCode) -> Option<Vec<u8>> {
    let (header, none) = decode(message, false)?;
    encode(&header, &none, None, &Response::error(code), u16::MAX).ok()
}

fn metadata_of(request: &Header, response: &Response) -> Metadata {
    let mut metadata = Metadata::response_from_request(request);
    metadata.response_code = response.code;
    metadata.authoritative = response.authoritative;
    // An authoritative server should clear it (RFC 4035 section 3.1.6).
    metadata.checking_disabled = false;
    metadata
}

fn empty(mut metadata: Metadata, queries: &Queries) -> Result<Vec<u8>, ProtoError> {
    metadata.truncation = true;
    write(metadata, queries, [&[], &[], &[]])
}

/// Puts the OPT record behind everything else. It is not hickory's, because its length has to be known before anything
/// is fitted, and hickory's cannot be padded.
fn finish(mut bytes: Vec<u8>, opt: Option<&OptRecord<'_>>, tail: &[u8]) -> Vec<u8> {
    let Some(opt) = opt else { return bytes };
    let count = u16::from_be_bytes([bytes[ARCOUNT], bytes[ARCOUNT + 1]]).saturating_add(1);
    bytes[ARCOUNT..ARCOUNT + 2].copy_from_slice(&count.to_be_bytes());
    bytes.extend(tail);
    if opt.padded {
        pad(&mut bytes, tail.len());
    }
    bytes
}

/// Header, question and records. Names are compressed against all before them, and first of all the question's, whose
/// letters the answer's owners share.
///
/// Errors: above all, more than 65,535 octets.
fn write(metadata: Metadata, queries: &Queries, sections: [&[RrSet]; 3]) -> Result<Vec<u8>, ProtoError> {
    let mut bytes = Vec::with_capacity(usize::from(PLAIN_UDP_PAYLOAD));
    let mut encoder = BinEncoder::new(&mut bytes);
    let questions = queries.queries();
    let [answers, authorities, additionals] =
        sections.map(|sets| sets.iter().map(|set| set.data.len()).sum::<usize>() as u16);
    let counts = HeaderCounts { queries: questions.len() as u16, answers, authorities, additionals };
    Header { metadata, counts }.emit(&mut encoder)?;
    // Names are compressed where they agree in case as well, so the question is written in lower case, which every name
    // of ours has, and gets the client's letters at the end: names that point to it have them too.
    for question in questions {
        let mut lower = question.original().clone();
        lower.set_name(lower.name().to_lowercase());
        lower.emit(&mut encoder)?;
    }
    let asked = questions.first().map(|question| question.original());
    // What is said in another class than IN is said of the server itself, and all of it in that class.
    let class = asked.map(Query::query_class);
    let asked = asked.map(Query::name);
    for mut record in sections.into_iter().flatten().flat_map(RrSet::records) {
        if class == Some(DNSClass::CH) {
            record.dns_class = DNSClass::CH;
        }
        if Some(&record.name) == asked {
            record.name = record.name.to_lowercase();
        }
        record.emit(&mut encoder)?;
    }
    let mut at = HEADER;
    for label in asked.into_iter().flat_map(Name::iter) {
        at += 1;
        bytes[at..at + label.len()].copy_from_slice(label);
        at += label.len();
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::Message;
    use hickory_proto::rr::RData;
    use hickory_proto::rr::rdata::{A, NS};

    const QUERY: &[u8] =
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03aPp\x05child\x07perigee\x04test\x00\x00\x01\x00\x01";

    fn name(text: &str) -> Name {
        // Parsing as text would change the case.
        Name::from_ascii(text).unwrap()
    }

    fn addresses(owner: &str, count: u8) -> RrSet {
        let data = (0..count).map(|i| RData::A(A::new(192, 0, 2, i))).collect();
        RrSet { owner: name(owner), record_type: RecordType::A, ttl_s: 60, data }
    }

    fn name_servers(owner: &str) -> RrSet {
        let data = ["ns1", "ns2", "ns3"].map(|ns| RData::NS(NS(name(&format!("{ns}.{owner}"))))).to_vec();
        RrSet { owner: name(owner), record_type: RecordType::NS, ttl_s: 60, data }
    }

    fn fit(response: &Response, limit: u16) -> Message {
        let (header, queries) = decode(QUERY, true).unwrap();
        let bytes = encode(&header, &queries, None, response, limit).unwrap();
        assert!(bytes.len() <= usize::from(limit), "{} of {limit}", bytes.len());
        Message::from_vec(&bytes).unwrap()
    }

    /// Octets of the whole response.
    fn len(response: &Response) -> u16 {
        let (header, queries) = decode(QUERY, true).unwrap();
        encode(&header, &queries, None, response, u16::MAX).unwrap().len() as u16
    }

    #[test]
    fn additional_records_are_left_out_set_by_set_and_without_tc() {
        let mut response = Response::found(crate::response::Kind::None, vec![addresses("aPp.child.perigee.test.", 3)]);
        response.additional = vec![addresses("one.perigee.test.", 2), addresses("two.perigee.test.", 3)];
        let whole = len(&response);
        for (limit, additional) in [(whole, 5), (whole - 1, 2), (whole - 52, 2), (whole - 53, 0)] {
            let message = fit(&response, limit);
            assert_eq!((message.answers.len(), message.additionals.len()), (3, additional), "{limit} of {whole}");
            assert!(!message.metadata.truncation);
        }
        let least = len(&Response { additional: vec![], ..response.clone() });
        let message = fit(&response, least - 1);
        assert!(message.metadata.truncation && message.answers.is_empty() && message.additionals.is_empty());
    }

    #[test]
    fn glue_that_does_not_fit_sets_tc() {
        let mut referral = Response::error(ResponseCode::NoError);
        referral.authority = vec![name_servers("child.perigee.test.")];
        referral.additional =
            ["ns1", "ns2", "ns3"].map(|ns| addresses(&format!("{ns}.child.perigee.test."), 1)).to_vec();
        let whole = len(&referral);
        let message = fit(&referral, whole);
        assert!(!message.metadata.truncation && message.additionals.len() == 3);
        let message = fit(&referral, whole - 1);
        assert!(message.metadata.truncation && message.additionals.len() == 2 && message.authorities.len() == 3);
        let message = fit(&referral, 50);
        assert!(message.metadata.truncation && message.authorities.is_empty());
    }

    #[test]
    fn owners_are_compressed_to_the_question_and_keep_its_case() {
        let response = Response::found(crate::response::Kind::None, vec![addresses("aPp.child.perigee.test.", 1)]);
        assert_eq!(usize::from(len(&response)), QUERY.len() + 16, "a pointer, not a name");
        assert_eq!(fit(&response, 512).answers[0].name.to_string(), "aPp.child.perigee.test.");
    }

    #[test]
    fn what_no_message_holds_is_truncated_to_nothing() {
        let sets = (0..20).map(|i| addresses(&format!("n{i}.test."), 255)).collect();
        let response = Response::found(crate::response::Kind::None, sets);
        let message = fit(&response, u16::MAX);
        assert!(message.metadata.truncation && message.answers.is_empty());
    }
}
