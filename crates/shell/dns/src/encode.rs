use hickory_proto::ProtoError;
use hickory_proto::op::{Edns, Header, Metadata, Query, ResponseCode, emit_message_parts};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{Name, Record};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, BinEncoder};
use hickory_server::zone_handler::Queries;

use crate::client_subnet::ClientSubnet;
use crate::response::{Response, RrSet};
use crate::wire::Reading;

/// UDP payload size that we state and never exceed (DNS flag day 2020).
pub(crate) const UDP_PAYLOAD: u16 = 1_232;
/// UDP payload size of a client that states none (RFC 1035 section 4.2.1).
const PLAIN_UDP_PAYLOAD: u16 = 512;
/// Octets of a header: where the question begins.
const HEADER: usize = 12;
/// Option codes (IANA, "DNS EDNS0 Option Codes").
const CLIENT_SUBNET: u16 = 8;
const EXTENDED_ERROR: u16 = 15;

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

/// The bytes of `response`: the question as it came, and an OPT record if one came.
///
/// What does not fit into `limit` octets leaves an empty answer with TC set, rather than part of one (`spec/dns.md`
/// §5.5). Errors: a record that cannot be written, which none of ours is.
pub(crate) fn encode(
    request: &Header,
    queries: &Queries,
    reading: &Reading<'_>,
    subnet: Option<&ClientSubnet>,
    response: &Response,
    limit: u16,
) -> Result<Vec<u8>, ProtoError> {
    let mut metadata = Metadata::response_from_request(request);
    metadata.response_code = response.code;
    metadata.authoritative = response.authoritative;
    // An authoritative server should clear it (RFC 4035 section 3.1.6).
    metadata.checking_disabled = false;
    let edns = reading.opt.map(|opt| {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_PAYLOAD).set_dnssec_ok(opt.dnssec_ok);
        if let Some(subnet) = subnet {
            let data = subnet.with_scope(response.scope);
            edns.options_mut().insert(EdnsOption::Unknown(CLIENT_SUBNET, data));
        }
        if let Some(error) = &response.extended_error {
            let data = [&error.code.to_be_bytes(), error.text.as_bytes()].concat();
            edns.options_mut().insert(EdnsOption::Unknown(EXTENDED_ERROR, data));
        }
        edns
    });
    let bytes =
        write(metadata, queries, edns.as_ref(), [&response.answers, &response.authority, &response.additional])?;
    if bytes.len() <= usize::from(limit) {
        return Ok(bytes);
    }
    metadata.truncation = true;
    write(metadata, queries, edns.as_ref(), [&[], &[], &[]])
}

/// A refusal to a message of which not even the header's question could be read: identifier, flags and code.
pub(crate) fn bare(message: &[u8], code: ResponseCode) -> Option<Vec<u8>> {
    let (header, none) = decode(message, false)?;
    encode(&header, &none, &Reading::default(), None, &Response::error(code), u16::MAX).ok()
}

fn write(
    metadata: Metadata,
    queries: &Queries,
    edns: Option<&Edns>,
    sections: [&[RrSet]; 3],
) -> Result<Vec<u8>, ProtoError> {
    let mut bytes = Vec::with_capacity(usize::from(PLAIN_UDP_PAYLOAD));
    let mut encoder = BinEncoder::new(&mut bytes);
    // Names are compressed where they agree in case as well, so the question is written in lower case, which every name
    // of ours has, and gets the client's letters at the end: names that point to it have them too.
    let asked: Option<&Name> = queries.queries().first().map(|query| query.original().name());
    let lower: Vec<Query> = queries.queries().iter().map(|query| lower_case(query.original())).collect();
    let [answers, authority, additional] = sections.map(|sets| {
        let mut records: Vec<Record> = sets.iter().flat_map(RrSet::records).collect();
        for record in records.iter_mut().filter(|record| Some(&record.name) == asked) {
            record.name = record.name.to_lowercase();
        }
        records
    });
    emit_message_parts(
        &metadata,
        &mut lower.iter(),
        &mut answers.iter(),
        &mut authority.iter(),
        &mut additional.iter(),
        edns,
        None,
        &mut encoder,
    )?;
    if let Some(asked) = asked {
        let mut at = HEADER;
        for label in asked.iter() {
            at += 1;
            bytes[at..at + label.len()].copy_from_slice(label);
            at += label.len();
        }
    }
    Ok(bytes)
}

fn lower_case(query: &Query) -> Query {
    let mut lower = query.clone();
    lower.set_name(query.name().to_lowercase());
    lower
}
