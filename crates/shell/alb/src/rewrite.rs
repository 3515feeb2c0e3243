use std::net::IpAddr;

use hyper::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};

use crate::trace_id::TraceIds;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const X_PERIGEE_EDGE: HeaderName = HeaderName::from_static("x-perigee-edge");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
/// Addresses that `X-Forwarded-For` may hold when it arrives.
const FORWARDED_MAX: usize = 30;

/// What a request's rewriting depends on besides the request.
pub(crate) struct Hop<'a> {
    /// The client, as the target shall see it.
    pub(crate) client: IpAddr,
    /// The edge the client came by.
    pub(crate) edge: Option<&'a str>,
    /// The port the client connected to.
    pub(crate) port: u16,
    /// The host to name if the request names none.
    pub(crate) dns_name: &'a str,
    /// Whether a body follows whose length is not declared.
    pub(crate) chunked: bool,
    /// Bytes of the headers as they came.
    pub(crate) headers_bytes: usize,
}

/// Makes a client's header fields those the target gets.
///
/// `authority` is the host of an absolute request target, which beats `Host`. Source: ALB guide, "X-headers",
/// "Request tracing", "Preserve host header" (off); `alb.md` sections 18.3 to 18.6.
pub(crate) fn request_headers(headers: &mut HeaderMap, authority: Option<&str>, hop: &Hop<'_>, ids: &TraceIds) {
    let host = authority.map(str::to_owned).or_else(|| text(headers, &HOST).map(str::to_owned));
    strip_hop_by_hop(headers);
    headers.remove(EXPECT);
    let host = host_for_target(host.as_deref().unwrap_or(hop.dns_name), hop.port);
    if let Ok(value) = HeaderValue::try_from(host) {
        headers.insert(HOST, value);
    }
    append_forwarded_for(headers, hop.client);
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    headers.insert(X_FORWARDED_PORT, HeaderValue::from(hop.port));
    // Perigee's own field; nobody else's word is passed on.
    headers.remove(X_PERIGEE_EDGE);
    if let Some(Ok(edge)) = hop.edge.map(HeaderValue::from_str) {
        headers.insert(X_PERIGEE_EDGE, edge);
    }
    ids.apply(headers, hop.headers_bytes);
    if hop.chunked && !headers.contains_key(CONTENT_LENGTH) {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// Removes what is between two neighbours only: the fields `Connection` lists and the usual ones (RFC 9110 section
/// 7.6.1).
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let listed: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split(','))
            .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
            .collect();
        for name in listed {
            headers.remove(name);
        }
    }
    for name in [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
}

/// Whether `X-Forwarded-For` names more addresses than a request may bring.
pub(crate) fn too_many_forwarded(headers: &HeaderMap) -> bool {
    let addresses = |v: &HeaderValue| v.as_bytes().split(|b| *b == b',').count();
    headers.get_all(X_FORWARDED_FOR).iter().map(addresses).sum::<usize>() > FORWARDED_MAX
}

/// Whether a body is coded otherwise than as chunks.
pub(crate) fn has_unknown_coding(headers: &HeaderMap) -> bool {
    headers.get_all(TRANSFER_ENCODING).iter().any(|value| {
        value.to_str().map_or(true, |text| {
            text.split(',').map(str::trim).any(|coding| {
                !coding.is_empty()
                    && !coding.eq_ignore_ascii_case("chunked")
                    && !coding.eq_ignore_ascii_case("identity")
            })
        })
    })
}

/// Bytes of the header fields on the wire, and those of the largest one.
pub(crate) fn header_bytes(headers: &HeaderMap) -> (usize, usize) {
    // Colon, space, carriage return and line feed.
    headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .fold((0, 0), |(sum, max), n| (sum + n, max.max(n)))
}

/// The first value of a field, if it is visible ASCII.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|v| v.to_str().ok())
}

/// Lower case; the port named exactly if it is neither 80 nor 443.
fn host_for_target(host: &str, listener_port: u16) -> String {
    let bare = perigee_rules::host_of(host);
    let default_port = matches!(listener_port, 80 | 443);
    let kept = match host[bare.len()..].strip_prefix(':') {
        Some("80" | "443" | "") if default_port => bare,
        Some(_) => host,
        None => bare,
    };
    let mut out = kept.to_ascii_lowercase();
    if kept.len() == bare.len() && !default_port {
        out.push(':');
        out.push_str(&listener_port.to_string());
    }
    out
}

fn append_forwarded_for(headers: &mut HeaderMap, client: IpAddr) {
    let mut value: Vec<u8> = Vec::with_capacity(48);
    for before in headers.get_all(X_FORWARDED_FOR) {
        value.extend_from_slice(before.as_bytes());
        value.extend_from_slice(b", ");
    }
    value.extend_from_slice(client.to_string().as_bytes());
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(X_FORWARDED_FOR, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            headers.append(name, HeaderValue::from_str(value).expect("a value"));
        }
        headers
    }

    fn rewritten(fields: &[(&str, &str)], port: u16) -> HeaderMap {
        let mut headers = map(fields);
        let hop = Hop {
            edge: None,
            client: [203, 0, 113, 9].into(),
            port,
            dns_name: "shop.r.elb.perigee.test",
            chunked: false,
            headers_bytes: 100,
        };
        request_headers(&mut headers, None, &hop, &TraceIds::new());
        headers
    }

    #[test]
    fn the_host_names_the_port_unless_it_is_a_default_one() {
        for (port, host, want) in [
            (80, "example.com", "example.com"),
            (80, "example.com:80", "example.com"),
            (443, "example.com:443", "example.com"),
            (8080, "Example.COM", "example.com:8080"),
            (8080, "example.com:8080", "example.com:8080"),
            (80, "example.com:8080", "example.com:8080"),
            (8080, "[::1]", "[::1]:8080"),
            (80, "[::1]:80", "[::1]"),
        ] {
            assert_eq!(host_for_target(host, port), want, "{host} on {port}");
        }
        assert_eq!(rewritten(&[], 80)[HOST], "shop.r.elb.perigee.test");
    }

    #[test]
    fn the_client_is_appended_to_all_that_came_before() {
        let headers = rewritten(&[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "2.2.2.2, 3.3.3.3")], 80);
        let values: Vec<_> = headers.get_all(X_FORWARDED_FOR).iter().collect();
        assert_eq!(values, ["1.1.1.1, 2.2.2.2, 3.3.3.3, 203.0.113.9"]);
        let lies = rewritten(&[("x-forwarded-proto", "https"), ("x-forwarded-port", "443")], 8080);
        assert_eq!(
            (&lies[X_FORWARDED_PROTO], &lies[X_FORWARDED_PORT]),
            (&"http".parse().unwrap(), &"8080".parse().unwrap())
        );
    }

    #[test]
    fn hop_by_hop_fields_and_those_that_connection_lists_stay_behind() {
        let headers = rewritten(
            &[
                ("connection", "close, X-Secret, host"),
                ("x-secret", "1"),
                ("host", "a.test"),
                ("keep-alive", "timeout=5"),
                ("te", "trailers"),
                ("upgrade", "websocket"),
                ("expect", "100-continue"),
                ("x-kept", "2"),
            ],
            80,
        );
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            ["host", "x-amzn-trace-id", "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto", "x-kept"]
        );
        assert_eq!(headers[HOST], "a.test");
    }

    #[test]
    fn the_thirty_first_forwarded_address_is_too_many() {
        let thirty = vec!["1.1.1.1"; 30].join(",");
        assert!(!too_many_forwarded(&map(&[("x-forwarded-for", &thirty)])));
        assert!(too_many_forwarded(&map(&[("x-forwarded-for", &thirty), ("x-forwarded-for", "2.2.2.2")])));
    }

    #[test]
    fn only_chunked_and_identity_are_known_codings() {
        for (value, unknown) in [("chunked", false), ("Chunked", false), ("identity", false), ("gzip, chunked", true)] {
            assert_eq!(has_unknown_coding(&map(&[("transfer-encoding", value)])), unknown, "{value}");
        }
    }
}
