//! Record data from presentation to wire form (RFC 1035 section 5.1 and each type's own RFC); hickory decodes and
//! checks the result.
//!
//! Hickory's own reader of zone files is not used: it opens the files that `$INCLUDE` names, stops at the first error,
//! takes `\DDD` for something else, knows neither DNAME nor RFC 3597's `\#`, ignores words too many, does not complete
//! relative names in SVCB, and panics on an empty `alpn`.

use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use hickory_proto::rr::{RData, RecordType};
use hickory_proto::serialize::binary::{BinDecoder, BinEncodable, BinEncoder, NameEncoding, Restrict};

use super::lexer::octets;
use super::svcb;
use super::wire_name::push_label;

/// What a field of record data is written as.
#[derive(Clone, Copy, Debug)]
enum Field {
    U8,
    U16,
    U32,
    /// Seconds, or with units as in `1h30m` (BIND's notation).
    Time,
    V4,
    V6,
    Name,
    /// One character string.
    String,
    /// All that follows, at least one character string.
    Strings,
    /// A character string of letters and digits (RFC 8659 section 4.1).
    Tag,
    /// A character string without its length octet.
    Text,
    /// All that follows, joined.
    Hex,
    Base64,
    /// All that follows (RFC 9460 section 2.1).
    ServiceParameters,
}

/// The type of Sender Policy Framework records, obsolete but routable by policy (RFC 7208 section 3.1).
pub(super) const SPF: u16 = 99;

/// The fields of a type's data; none if it can be written in the generic form alone.
const fn fields(record_type: RecordType) -> Option<&'static [Field]> {
    use Field::*;
    Some(match record_type {
        RecordType::A => &[V4],
        RecordType::AAAA => &[V6],
        RecordType::NS | RecordType::CNAME | RecordType::PTR | RecordType::DNAME => &[Name],
        RecordType::MX => &[U16, Name],
        RecordType::SRV => &[U16, U16, U16, Name],
        RecordType::SOA => &[Name, Name, U32, Time, Time, Time, Time],
        RecordType::TXT | RecordType::Unknown(SPF) => &[Strings],
        RecordType::HINFO => &[String, String],
        RecordType::CAA => &[U8, Tag, Text],
        RecordType::NAPTR => &[U16, U16, String, String, String, Name],
        RecordType::DS => &[U16, U8, U8, Hex],
        RecordType::TLSA | RecordType::SMIMEA => &[U8, U8, U8, Hex],
        RecordType::SSHFP => &[U8, U8, Hex],
        RecordType::OPENPGPKEY => &[Base64],
        RecordType::SVCB | RecordType::HTTPS => &[U16, Name, ServiceParameters],
        _ => return None,
    })
}

/// The type called `mnemonic`, in any case, or `TYPEn` (RFC 3597 section 5).
///
/// Errors: it is unknown, or it is one that no zone may hold: queries' own types, and what the signer makes.
pub(super) fn record_type(mnemonic: &str) -> Result<RecordType, String> {
    let upper = mnemonic.to_ascii_uppercase();
    let record_type = match upper.strip_prefix("TYPE").map(str::parse::<u16>) {
        Some(Ok(number)) => RecordType::from(number),
        _ if upper == "SPF" => RecordType::Unknown(SPF),
        _ => upper.parse().map_err(|_| format!("`{mnemonic}` is no record type; others are written TYPEn"))?,
    };
    match record_type {
        RecordType::RRSIG
        | RecordType::NSEC
        | RecordType::NSEC3
        | RecordType::NSEC3PARAM
        | RecordType::DNSKEY
        | RecordType::CDNSKEY
        | RecordType::CDS => Err(format!("{upper} is made when the zone is signed and cannot be given")),
        RecordType::OPT | RecordType::SIG | RecordType::KEY | RecordType::NULL | RecordType::ANAME => {
            Err(format!("{upper} is no type of a zone's records"))
        }
        other if matches!(u16::from(other), 0 | 128..=255) => Err(format!("{upper} is no type of a zone's records")),
        other => Ok(other),
    }
}

/// The record data that `words` say, and its octets; relative names are completed with `origin`, a name in wire form
/// without its root.
///
/// Errors: what is wrong with which word.
pub(super) fn parse(record_type: RecordType, words: &[&str], origin: &[u8]) -> Result<(RData, usize), String> {
    let wire = match words {
        [r"\#", len, hex @ ..] => generic(len, hex)?,
        _ => {
            let fields = fields(record_type)
                .ok_or_else(|| format!("data of type {record_type} can be given in the form `\\# LENGTH HEX` alone"))?;
            specific(fields, words, origin)?
        }
    };
    // Hickory does not know that it holds a name, so the signer could not bring it into canonical form (RFC 4034
    // section 6.2): it is kept in it.
    let wire = if record_type == RecordType::DNAME { wire.to_ascii_lowercase() } else { wire };
    Ok((decode(record_type, &wire)?, wire.len()))
}

/// What hickory makes of data in wire form; it must make the same bytes of it again.
fn decode(record_type: RecordType, wire: &[u8]) -> Result<RData, String> {
    let len = u16::try_from(wire.len()).map_err(|_| "the data is above 65,535 octets".to_owned())?;
    let mut decoder = BinDecoder::new(wire);
    let data = RData::read(&mut decoder, record_type, Restrict::new(len)).map_err(|error| error.to_string())?;
    let mut again = Vec::with_capacity(wire.len());
    let mut encoder = BinEncoder::new(&mut again);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    data.emit(&mut encoder).map_err(|error| error.to_string())?;
    if decoder.index() != wire.len() || again != wire {
        return Err("the data does not fit its type".into());
    }
    Ok(data)
}

/// RFC 3597 section 5.
fn generic(len: &str, hex: &[&str]) -> Result<Vec<u8>, String> {
    let wire = hex_octets(hex)?;
    if len.parse() != Ok(wire.len()) {
        return Err(format!("the length is given as {len}, but there are {} octets", wire.len()));
    }
    Ok(wire)
}

fn specific(fields: &[Field], words: &[&str], origin: &[u8]) -> Result<Vec<u8>, String> {
    let mut wire = Vec::new();
    let mut rest = words;
    for field in fields {
        match field {
            Field::Strings if !rest.is_empty() => {
                for word in std::mem::take(&mut rest) {
                    push_string(&mut wire, word)?;
                }
                continue;
            }
            Field::Hex if !rest.is_empty() => {
                wire.extend(hex_octets(std::mem::take(&mut rest))?);
                continue;
            }
            Field::Base64 if !rest.is_empty() => {
                let text = std::mem::take(&mut rest).concat();
                wire.extend(BASE64.decode(text.as_bytes()).map_err(|e| format!("no base64: {e}"))?);
                continue;
            }
            Field::ServiceParameters => {
                let priority = wire.get(..2).map_or(0, |p| u16::from_be_bytes([p[0], p[1]]));
                svcb::push_parameters(&mut wire, priority, std::mem::take(&mut rest))?;
                continue;
            }
            _ => {}
        }
        let [word, behind @ ..] = rest else { return Err("words are missing".into()) };
        rest = behind;
        push_field(&mut wire, *field, word, origin)?;
    }
    if let [word, ..] = rest { Err(format!("`{word}` is one word too many")) } else { Ok(wire) }
}

fn push_field(wire: &mut Vec<u8>, field: Field, word: &str, origin: &[u8]) -> Result<(), String> {
    let number = |max: u32| {
        let number = word.parse::<u32>().ok().filter(|n| *n <= max);
        number.ok_or_else(|| format!("`{word}` is no number from 0 to {max}"))
    };
    match field {
        Field::U8 => wire.push(number(255)? as u8),
        Field::U16 => wire.extend((number(65_535)? as u16).to_be_bytes()),
        Field::U32 => wire.extend(number(u32::MAX)?.to_be_bytes()),
        Field::Time => wire.extend(time(word)?.to_be_bytes()),
        Field::V4 => {
            wire.extend(word.parse::<Ipv4Addr>().map_err(|_| format!("`{word}` is no IPv4 address"))?.octets());
        }
        Field::V6 => {
            wire.extend(word.parse::<Ipv6Addr>().map_err(|_| format!("`{word}` is no IPv6 address"))?.octets());
        }
        Field::Name => {
            wire.extend(name(word, origin)?);
            wire.push(0);
        }
        Field::Tag => {
            if word.is_empty() || word.len() > 15 || !word.bytes().all(|b| b.is_ascii_alphanumeric()) {
                return Err(format!("`{word}` is no tag: 1 to 15 letters and digits"));
            }
            push_string(wire, word)?;
        }
        Field::Text => wire.extend(octets(word)?),
        Field::String | Field::Strings | Field::Hex | Field::Base64 | Field::ServiceParameters => {
            push_string(wire, word)?;
        }
    }
    Ok(())
}

fn push_string(wire: &mut Vec<u8>, word: &str) -> Result<(), String> {
    let octets = octets(word)?;
    let len = u8::try_from(octets.len()).map_err(|_| "a character string is above 255 octets".to_owned())?;
    wire.push(len);
    wire.extend(octets);
    Ok(())
}

fn hex_octets(words: &[&str]) -> Result<Vec<u8>, String> {
    HEXLOWER_PERMISSIVE.decode(words.concat().as_bytes()).map_err(|e| format!("no hexadecimal digits: {e}"))
}

/// Seconds: a number, or numbers with units `s m h d w`. At most 2³¹-1 (RFC 2181 section 8).
pub(super) fn time(word: &str) -> Result<u32, String> {
    let seconds = hickory_proto::serialize::txt::parse_ttl(word).ok().filter(|s| *s <= 0x7fff_ffff);
    seconds.ok_or_else(|| format!("`{word}` is no time from 0 to 2147483647 seconds"))
}

/// A name in wire form without its root, in the case that it is written in. `@` is the origin.
pub(super) fn name(word: &str, origin: &[u8]) -> Result<Vec<u8>, String> {
    match word {
        "@" => return Ok(origin.to_vec()),
        "." => return Ok(Vec::new()),
        _ => {}
    }
    let refused = || format!("`{word}` is no domain name");
    if !word.is_ascii() {
        return Err(format!("`{word}` is not ASCII; international names are written in their xn-- form"));
    }
    let mut wire = Vec::with_capacity(word.len() + 1 + origin.len());
    let mut is_relative = true;
    let mut rest = word;
    while !rest.is_empty() {
        let mut end = 0;
        while let Some(byte) = rest.as_bytes().get(end).filter(|b| **b != b'.') {
            end += if *byte == b'\\' { 2 } else { 1 };
        }
        let label = rest.get(..end).ok_or_else(refused)?;
        if label.contains('"') {
            return Err(refused());
        }
        push_label(&mut wire, &octets(label)?).ok_or_else(refused)?;
        is_relative = rest.len() == end;
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    if is_relative {
        wire.extend(origin);
    }
    let fits = !word.is_empty() && wire.len() <= super::wire_name::MAX_NAME;
    if fits { Ok(wire) } else { Err(refused()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(mnemonic: &str, text: &str) -> Result<String, String> {
        let words: Vec<&str> = text.split(' ').collect();
        let (data, _) = parse(record_type(mnemonic)?, &words, b"\x04zone\x04test")?;
        Ok(data.to_string())
    }

    #[test]
    fn data_of_each_type_is_read() {
        for (mnemonic, text, expected) in [
            ("A", "192.0.2.1", "192.0.2.1"),
            ("aaaa", "2001:db8::1", "2001:db8::1"),
            ("NS", "ns1", "ns1.zone.test."),
            ("CNAME", "@", "zone.test."),
            ("PTR", "other.test.", "other.test."),
            ("MX", "10 mail", "10 mail.zone.test."),
            ("SRV", "1 2 443 .", "1 2 443 ."),
            ("SOA", "ns1 host 7 1h 10m 2w 30", "ns1.zone.test. host.zone.test. 7 3600 600 1209600 30"),
            ("TXT", r#"a "b" \065"#, "abA"),
            ("CAA", "0 issue letsencrypt.org", "0 issue \"letsencrypt.org\""),
            ("SSHFP", "4 2 AB cd", "4 2 abcd"),
            (
                "DS",
                "12345 13 2 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
                "12345 13 2 00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF",
            ),
            ("HTTPS", "1 . alpn=h2,h3 port=8443", "1 . alpn=h2,h3, port=8443"),
            ("A", r"\# 4 c0000201", "192.0.2.1"),
        ] {
            let found = parsed(mnemonic, text).unwrap();
            assert!(found.eq_ignore_ascii_case(expected), "{mnemonic} {text}: {found}");
        }
        for (mnemonic, text) in [
            ("DNAME", "other.test."),
            ("SPF", "v=spf1"),
            ("NAPTR", "1 1 u E2U+sip !^.*$!sip:a@b! ."),
            ("TLSA", "3 1 1 aabb"),
            ("HINFO", "a b"),
            ("OPENPGPKEY", "aGVsbG8="),
            ("TYPE65280", r"\# 3 01 02ff"),
            ("TYPE65280", r"\# 0"),
        ] {
            assert!(parsed(mnemonic, text).is_ok(), "{mnemonic} {text}: {:?}", parsed(mnemonic, text));
        }
    }

    #[test]
    fn damaged_data_is_refused() {
        for (mnemonic, text) in [
            ("A", "192.0.2"),
            ("A", "192.0.2.1 192.0.2.2"),
            ("A", "::1"),
            ("A", r"\# 5 c000020100"),
            ("A", r"\# 4 c00002"),
            ("A", r"\# x c0000201"),
            ("MX", "mail"),
            ("MX", "65536 mail"),
            ("NS", "a..b"),
            ("NS", "ä"),
            ("NS", "\"ns1\""),
            ("NS", "a\\"),
            ("SOA", "ns1 host 7 1h 10m 2w"),
            ("SOA", "ns1 host 7 1h 10m 2w 2147483648"),
            ("TXT", r"\999"),
            ("CAA", "0 is-sue x"),
            ("CAA", "256 issue x"),
            ("SSHFP", "4 2 abc"),
            ("SSHFP", "4 2"),
            ("LOC", "1"),
            ("TYPE65280", "x"),
            ("DNSKEY", "1"),
            ("RRSIG", "1"),
            ("OPT", "1"),
            ("TYPE255", r"\# 0"),
            ("TYPE249", r"\# 0"),
            ("TYPE128", r"\# 0"),
            ("ANAME", "a"),
            ("NOTHING", "a"),
        ] {
            assert!(parsed(mnemonic, text).is_err(), "{mnemonic} {text}: {:?}", parsed(mnemonic, text));
        }
    }
}
