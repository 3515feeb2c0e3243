//! Service parameters (RFC 9460): from presentation to wire form, with the rules that hold between them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use data_encoding::BASE64;
use hickory_proto::rr::RData;
use hickory_proto::rr::rdata::svcb::{IpHint, SvcParamKey, SvcParamValue};
use hickory_proto::rr::rdata::{A, AAAA, HTTPS, SVCB};

use super::lexer::octets;

/// Keys with a name (IANA, "Service Parameter Keys"), in order of their numbers.
const NAMES: [&str; 7] = ["mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint"];
const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;
const PORT: u16 = 3;
const IPV4_HINT: u16 = 4;
const ECH: u16 = 5;
const IPV6_HINT: u16 = 6;
/// A key that no record may hold (RFC 9460 section 14.3.2).
const INVALID_KEY: u16 = 65_535;

/// Adds the parameters in `words` to `wire`, ascending by key whatever their order.
///
/// Errors: RFC 9460 sections 2.4.2 (no parameters in alias mode, priority 0), 2.2 (no key twice), 8 (mandatory keys are
/// there, each once, `mandatory` itself not), 7.1.1 (`no-default-alpn` with `alpn` alone), and each value's own form.
pub(super) fn push_parameters(wire: &mut Vec<u8>, priority: u16, words: &[&str]) -> Result<(), String> {
    if priority == 0 && !words.is_empty() {
        return Err("priority 0 is an alias and takes no parameters".into());
    }
    let mut parameters: Vec<(u16, Vec<u8>)> = Vec::with_capacity(words.len());
    for word in words {
        let (name, text) = match word.split_once('=') {
            Some((name, text)) => (name, Some(octets(text)?)),
            None => (*word, None),
        };
        let key = key(name)?;
        let value = value(key, text).map_err(|what| format!("`{name}` {what}"))?;
        match parameters.binary_search_by_key(&key, |(key, _)| *key) {
            Ok(_) => return Err(format!("`{name}` is given twice")),
            Err(at) => parameters.insert(at, (key, value)),
        }
    }
    let has = |key: u16| parameters.iter().any(|(k, _)| *k == key);
    if has(NO_DEFAULT_ALPN) && !has(ALPN) {
        return Err("`no-default-alpn` needs `alpn`".into());
    }
    if let Some((MANDATORY, list)) = parameters.first() {
        let missing = list.chunks_exact(2).find(|key| !has(u16::from_be_bytes([key[0], key[1]])));
        if missing.is_some() {
            return Err("a key that `mandatory` lists is not there".into());
        }
    }
    for (key, value) in parameters {
        let len = u16::try_from(value.len()).map_err(|_| "a value is above 65,535 octets".to_owned())?;
        wire.extend(key.to_be_bytes());
        wire.extend(len.to_be_bytes());
        wire.extend(value);
    }
    Ok(())
}

fn key(name: &str) -> Result<u16, String> {
    if let Some(number) = NAMES.iter().position(|n| *n == name) {
        return Ok(number as u16);
    }
    let number = name.strip_prefix("key").filter(|digits| !digits.starts_with('0') || *digits == "0");
    let number = number.and_then(|digits| digits.parse::<u16>().ok()).filter(|number| *number != INVALID_KEY);
    number.ok_or_else(|| format!("`{name}` is no key of a service parameter"))
}

/// A value in wire form. `text` has its character-string escapes resolved already (RFC 9460 appendix A).
fn value(key: u16, text: Option<Vec<u8>>) -> Result<Vec<u8>, String> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return match key {
            MANDATORY | ALPN | PORT | IPV4_HINT | ECH | IPV6_HINT => Err("needs a value".into()),
            _ => Ok(Vec::new()),
        };
    };
    let plain = || String::from_utf8(text.clone()).map_err(|_| "is no text".to_owned());
    Ok(match key {
        MANDATORY => {
            let mut keys = plain()?.split(',').map(self::key).collect::<Result<Vec<u16>, _>>()?;
            let count = keys.len();
            keys.sort_unstable();
            keys.dedup();
            if keys.len() < count || keys.contains(&MANDATORY) {
                return Err("lists a key twice, or itself".into());
            }
            keys.iter().flat_map(|key| key.to_be_bytes()).collect()
        }
        ALPN => {
            let mut wire = Vec::new();
            for id in list(&text) {
                let len = u8::try_from(id.len()).ok().filter(|len| *len > 0);
                wire.push(len.ok_or("has an identifier that is empty or above 255 octets")?);
                wire.extend(id);
            }
            wire
        }
        NO_DEFAULT_ALPN => return Err("takes no value".into()),
        PORT => plain()?.parse::<u16>().map_err(|_| "is no port")?.to_be_bytes().to_vec(),
        IPV4_HINT => addresses::<Ipv4Addr>(&plain()?)?.iter().flat_map(Ipv4Addr::octets).collect(),
        IPV6_HINT => addresses::<Ipv6Addr>(&plain()?)?.iter().flat_map(Ipv6Addr::octets).collect(),
        ECH => BASE64.decode(&text).map_err(|e| format!("is no base64: {e}"))?,
        _ => text,
    })
}

fn addresses<T: std::str::FromStr>(text: &str) -> Result<Vec<T>, String> {
    text.split(',').map(|a| a.parse().map_err(|_| format!("has `{a}`, no address of its family"))).collect()
}

/// Items of a comma-separated list, in which `\,` and `\\` are escaped (RFC 9460 appendix A.1).
fn list(text: &[u8]) -> Vec<Vec<u8>> {
    let mut items = vec![Vec::new()];
    let mut is_escaped = false;
    for byte in text {
        match (byte, is_escaped) {
            (b'\\', false) => is_escaped = true,
            (b',', false) => items.push(Vec::new()),
            _ => {
                is_escaped = false;
                if let Some(item) = items.last_mut() {
                    item.push(*byte);
                }
            }
        }
    }
    items
}

/// `data` with `addresses` as its hints, if it is a service at its owner's own name and gives no hints itself.
///
/// Source: `spec/dns.md` section 5.9: hints come from the same decision as A and AAAA, or are left out.
pub(crate) fn with_hints(data: &RData, addresses: &[IpAddr]) -> RData {
    let hinted = |svcb: &SVCB| {
        let is_hint = |key: SvcParamKey| matches!(key, SvcParamKey::Ipv4Hint | SvcParamKey::Ipv6Hint);
        let is_apt = svcb.svc_priority > 0
            && svcb.target_name.is_root()
            && !svcb.svc_params.iter().any(|(key, _)| is_hint(*key));
        let mut svcb = svcb.clone();
        if is_apt {
            let (mut v4, mut v6) = (Vec::new(), Vec::new());
            for address in addresses {
                match address {
                    IpAddr::V4(address) => v4.push(A(*address)),
                    IpAddr::V6(address) => v6.push(AAAA(*address)),
                }
            }
            if !v4.is_empty() {
                svcb.svc_params.push((SvcParamKey::Ipv4Hint, SvcParamValue::Ipv4Hint(IpHint(v4))));
            }
            if !v6.is_empty() {
                svcb.svc_params.push((SvcParamKey::Ipv6Hint, SvcParamValue::Ipv6Hint(IpHint(v6))));
            }
            svcb.svc_params.sort_by_key(|(key, _)| u16::from(*key));
        }
        svcb
    };
    match data {
        RData::HTTPS(HTTPS(svcb)) => RData::HTTPS(HTTPS(hinted(svcb))),
        RData::SVCB(svcb) => RData::SVCB(hinted(svcb)),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_written_ascending_and_checked() {
        let wire = |priority, text: &str| {
            let mut wire = Vec::new();
            let words: Vec<&str> = text.split_whitespace().collect();
            push_parameters(&mut wire, priority, &words).map(|()| wire)
        };
        assert_eq!(wire(1, "port=443 alpn=h2,h3"), Ok(b"\0\x01\0\x06\x02h2\x02h3\0\x03\0\x02\x01\xbb".to_vec()));
        assert_eq!(wire(1, r#"alpn="f\\\\oo\\,bar,h2""#), Ok(b"\0\x01\0\x0c\x08f\\oo,bar\x02h2".to_vec()));
        assert_eq!(wire(1, "alpn=h2 mandatory=alpn"), Ok(b"\0\0\0\x02\0\x01\0\x01\0\x03\x02h2".to_vec()));
        assert_eq!(wire(1, "key667=a\\065"), Ok(b"\x02\x9b\0\x02aA".to_vec()));
        assert_eq!(wire(0, ""), Ok(Vec::new()));
        for (priority, text) in [
            (0, "alpn=h2"),
            (1, "alpn"),
            (1, "alpn="),
            (1, "alpn=\"\""),
            (1, "alpn=h2,,h3"),
            (1, "alpn=h2 alpn=h3"),
            (1, "key1=\\002h2 alpn=h3"),
            (1, "no-default-alpn"),
            (1, "no-default-alpn=x alpn=h2"),
            (1, "port=65536"),
            (1, "ipv4hint=::1"),
            (1, "ipv6hint=1.2.3.4"),
            (1, "ech=*"),
            (1, "mandatory=alpn"),
            (1, "mandatory=mandatory"),
            (1, "mandatory=alpn,alpn alpn=h2"),
            (1, "key65535=x"),
            (1, "key01=x"),
            (1, "key70000=x"),
            (1, "nothing=x"),
            (1, "=x"),
        ] {
            assert!(wire(priority, text).is_err(), "{priority} {text}");
        }
    }
}
