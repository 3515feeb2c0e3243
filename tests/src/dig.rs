//! Asks DNS with `dig`, as a user would.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The response code, such as `NOERROR`.
    pub code: String,
    /// The answer section as (TTL in seconds, data).
    pub records: Vec<(u32, String)>,
    /// The scope of the client subnet option, if there was one.
    pub scope: Option<u8>,
}

/// Asks `server` for the records of `name`, as the client at `source` or for the clients of `subnet`.
///
/// Panics when there is no `dig` or no answer.
pub fn dig(server: SocketAddr, name: &str, kind: &str, source: Option<IpAddr>, subnet: Option<&str>) -> Reply {
    let mut dig = Command::new("dig");
    dig.args(["+tries=2", "+time=2", "+noall", "+comments", "+answer"]);
    dig.arg(format!("@{}", server.ip())).args(["-p", &server.port().to_string()]);
    if let Some(source) = source {
        dig.args(["-b", &source.to_string()]);
    }
    if let Some(subnet) = subnet {
        dig.arg(format!("+subnet={subnet}"));
    }
    dig.args([name, kind]);
    let output = dig.output().unwrap_or_else(|e| panic!("cannot run dig (Debian: bind9-dnsutils): {e}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    parse(&text).unwrap_or_else(|| panic!("dig has no answer for {name}: {text}"))
}

impl Reply {
    /// The data of the records.
    pub fn data(&self) -> Vec<&str> {
        self.records.iter().map(|(_, data)| data.as_str()).collect()
    }

    /// The TTL of the first record.
    pub fn ttl_s(&self) -> Option<u32> {
        self.records.first().map(|(ttl, _)| *ttl)
    }
}

fn parse(text: &str) -> Option<Reply> {
    let code = text.split("status: ").nth(1)?.split(',').next()?.to_owned();
    let scope = text.lines().find_map(|l| l.strip_prefix("; CLIENT-SUBNET: ")).and_then(|l| l.rsplit('/').next());
    let records = text.lines().filter(|l| !l.is_empty() && !l.starts_with(';'));
    let records = records.filter_map(|line| {
        let mut rest = line;
        let mut field = || {
            let (field, tail) = rest.trim_start().split_once([' ', '\t'])?;
            rest = tail;
            Some(field)
        };
        let (_, ttl) = (field()?, field()?.parse().ok()?);
        let _class_and_type = (field()?, field()?);
        Some((ttl, rest.trim().to_owned()))
    });
    Some(Reply { code, records: records.collect(), scope: scope.and_then(|s| s.trim().parse().ok()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digs_words_become_records_code_and_scope() {
        let text = ";; Got answer:\n;; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: 1\n\n;; OPT PSEUDOSECTION:\n\
                    ; CLIENT-SUBNET: 168.126.63.0/24/16\n;; ANSWER SECTION:\n\
                    app.perigee.test.\t30\tIN\tA\t127.82.1.1\na.b. 0 IN TXT \"x=1\" \"y z\"\n";
        let reply = parse(text).unwrap();
        assert_eq!((reply.code.as_str(), reply.scope, reply.ttl_s()), ("NOERROR", Some(16), Some(30)));
        assert_eq!(reply.data(), ["127.82.1.1", "\"x=1\" \"y z\""]);
        assert_eq!(parse(";; connection timed out"), None);
    }
}
