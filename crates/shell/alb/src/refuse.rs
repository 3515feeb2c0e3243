use hyper::header::HOST;
use hyper::{Method, Request, Version};
use perigee_model::Limits;

use crate::client_io::{ClientIo, Expired};
use crate::rewrite::{has_unknown_coding, header_bytes, too_many_forwarded};

/// Why a request is refused before any rule is looked at: the status, and the limit that was reached, if it was one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    pub(crate) limit: Option<&'static str>,
}

impl Refused {
    const fn status(status: u16) -> Self {
        Self { status, limit: None }
    }

    const fn limit(status: u16, limit: &'static str) -> Self {
        Self { status, limit: Some(limit) }
    }
}

/// Room for the parser above the limit of the whole head, so that it is this crate that says which limit was reached.
const SLACK: usize = 20 * 1024;

/// The parser's own bound on a head; what is larger never becomes a request.
pub(crate) fn parser_head_max(limits: &Limits) -> usize {
    usize_of(limits.request_head_bytes).saturating_add(SLACK)
}

/// Looks at a parsed head; gives the bytes of its header fields, or why it is refused.
///
/// Source: ALB guide, "Quotas" and "Troubleshoot"; `alb.md` sections 18.1 to 18.4 and 22.
pub(crate) fn check_head<B>(request: &Request<B>, limits: &Limits) -> Result<usize, Refused> {
    let uri = request.uri();
    let target = uri.scheme_str().map_or(0, |s| s.len() + 3)
        + uri.authority().map_or(0, |a| a.as_str().len())
        + uri.path_and_query().map_or(0, |p| p.as_str().len());
    // Two spaces, the version, carriage return and line feed.
    let line = request.method().as_str().len() + target + 12;
    let (headers, largest) = header_bytes(request.headers());
    if line > usize_of(limits.request_line_bytes) {
        return Err(Refused::limit(414, "request_line_bytes"));
    }
    if largest > usize_of(limits.request_header_bytes) {
        return Err(Refused::limit(400, "request_header_bytes"));
    }
    if line + headers > usize_of(limits.request_head_bytes) {
        return Err(Refused::limit(400, "request_head_bytes"));
    }
    if matches!(*request.method(), Method::TRACE | Method::CONNECT) {
        return Err(Refused::status(405));
    }
    if has_unknown_coding(request.headers()) {
        return Err(Refused::status(501));
    }
    if request.version() == Version::HTTP_11 && !request.headers().contains_key(HOST) {
        return Err(Refused::status(400));
    }
    if request.headers().get(HOST).is_some_and(|host| host.to_str().is_err()) {
        return Err(Refused::status(400));
    }
    if too_many_forwarded(request.headers()) {
        return Err(Refused::status(463));
    }
    Ok(headers)
}

/// What is said to a client whose connection ended without a parsed request, none if nothing is.
///
/// `unparsed` is what the parser had read and not understood.
pub(crate) fn last_words(io: &ClientIo, error: Option<&hyper::Error>, unparsed: &[u8]) -> Option<Refused> {
    if io.expired() == Some(Expired::Head) {
        return Some(Refused::status(408));
    }
    let error = error?;
    if error.is_parse_version_h2() {
        return Some(Refused::status(505));
    }
    if !io.withheld() {
        return None;
    }
    // The parser names these two only in words; a test of this crate holds it to them.
    let words = error.to_string();
    Some(if error.is_parse_too_large() {
        if words.contains("URI") || !unparsed.contains(&b'\n') {
            Refused::limit(414, "request_line_bytes")
        } else {
            Refused::limit(400, "request_head_bytes")
        }
    } else if words.contains("transfer-encoding") {
        Refused::status(501)
    } else {
        Refused::status(400)
    })
}

const fn usize_of(n: u32) -> usize {
    n as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(request: hyper::http::request::Builder) -> Result<(), (u16, Option<&'static str>)> {
        let request = request.body(()).expect("it is a request");
        check_head(&request, &Limits::default()).map(|_| ()).map_err(|r| (r.status, r.limit))
    }

    fn get(uri: &str) -> hyper::http::request::Builder {
        Request::get(uri).header(HOST, "a.test")
    }

    #[test]
    fn each_limit_has_its_status_and_its_name() {
        let line = |n: usize| format!("/{}", "a".repeat(n));
        assert_eq!(check(get(&line(16_384 - 16))), Ok(()));
        assert_eq!(check(get(&line(16_384 - 15))), Err((414, Some("request_line_bytes"))));
        assert_eq!(check(get("/").header("x-a", "b".repeat(16_384 - 7))), Ok(()));
        assert_eq!(check(get("/").header("x-a", "b".repeat(16_384 - 6))), Err((400, Some("request_header_bytes"))));
        let many = (0..5).fold(get("/"), |r, i| r.header(format!("x-{i}"), "b".repeat(14_000)));
        assert_eq!(check(many), Err((400, Some("request_head_bytes"))));
    }

    #[test]
    fn what_no_rule_may_see_is_refused() {
        for (request, status) in [
            (Request::builder().method("TRACE").uri("/").header(HOST, "a"), 405),
            (Request::builder().method("CONNECT").uri("a:80").header(HOST, "a"), 405),
            (Request::get("/"), 400),
            (get("/").header("transfer-encoding", "gzip, chunked"), 501),
            (get("/").header("x-forwarded-for", vec!["1.1.1.1"; 31].join(",")), 463),
        ] {
            assert_eq!(check(request), Err((status, None)));
        }
        assert_eq!(check(Request::get("/").version(Version::HTTP_10)), Ok(()));
        assert_eq!(check(Request::builder().method("PURGE").uri("/").header(HOST, "a")), Ok(()));
    }
}
