use perigee_model::dns::RecordValues;

use crate::key_path::quoted;
use crate::reader::Node;

/// Values of one type, at most (Route 53 developer guide, "Quotas": 400 a record).
const MAX_VALUES: usize = 400;

/// Bytes of one value, at most (Route 53 API, `ResourceRecord`: 4,000).
const MAX_BYTES: usize = 4_000;

/// The types that routing policies take (`spec/dns.md` section 2.1), addresses aside.
const TYPES: [&str; 12] =
    ["CAA", "CNAME", "HTTPS", "MX", "NAPTR", "PTR", "SPF", "SRV", "SSHFP", "SVCB", "TLSA", "TXT"];

/// Reads values by type. Whether a value is one of its type, only the DNS server knows.
///
/// `is_multivalue`: one value a type, and no CNAME.
pub(super) fn read(node: &Node<'_>, is_multivalue: bool) -> Vec<RecordValues> {
    let mut made = Vec::new();
    for (name, node) in node.entries().unwrap_or_default() {
        if !TYPES.contains(&name) {
            node.problem(match name {
                "A" | "AAAA" => "stands in `addresses`, not in `values`".to_owned(),
                "DS" | "NS" | "SOA" => format!("{name} stands in the zone's file: no policy decides it"),
                _ => format!("{} is no type that a policy takes: {}", quoted(name), TYPES.join(", ")),
            });
            continue;
        }
        let max = if is_multivalue || name == "CNAME" { 1 } else { MAX_VALUES };
        let mut values: Vec<String> = Vec::new();
        for node in node.list_of(1..=max, "values").unwrap_or_default() {
            let Some(value) = node.parse(value) else { continue };
            if values.contains(&value) {
                node.problem("duplicate: the value is there already");
            }
            values.push(value);
        }
        if is_multivalue && name == "CNAME" {
            node.problem("is not accepted: a client takes one CNAME, not one of several");
        }
        made.push(RecordValues { record_type: name.to_owned(), values });
    }
    made
}

fn value(text: &str) -> Result<String, String> {
    if !(1..=MAX_BYTES).contains(&text.len()) {
        Err(format!("has {} bytes, must have 1 to {MAX_BYTES}", text.len()))
    } else if text.chars().any(char::is_control) {
        Err("has a control character; a value stands on one line".to_owned())
    } else {
        Ok(text.to_owned())
    }
}
