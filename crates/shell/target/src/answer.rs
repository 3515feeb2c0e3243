use std::net::IpAddr;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode};
use perigee_net::{Fault, Host, Shutdown};
use serde_json::{Map, Value, json};

use crate::app::{App, EDGE, client};
use crate::body::{self, AnyBody};
use crate::websocket;

/// Bytes of a request's body that are read (and forgotten); a longer one is refused with 413.
const MAX_REQUEST_BODY: u64 = 16 << 20;
/// Longest `/slow`.
const MAX_SLOW_MS: u64 = 60_000;
/// Longest `/bytes`.
const MAX_BYTES: u64 = 1 << 30;
/// Most `/events`.
const MAX_EVENTS: u64 = 1_000;

/// Answers one request, as the host's fault allows.
pub(crate) async fn answer(
    mut request: Request<Incoming>,
    peer: IpAddr,
    app: &App,
    host: &Host,
    shutdown: &Shutdown,
) -> Response<AnyBody> {
    let edge = request.headers().get(EDGE).cloned();
    let number = if request.uri().path() == "/check" { app.requests() } else { app.count() };
    let fault = host.fault();
    tokio::time::sleep(fault.delay()).await;
    let mut response = if fault == Fault::Error {
        error(StatusCode::INTERNAL_SERVER_ERROR, "this target was told to fail")
    } else if request.uri().path() == "/ws" {
        websocket::upgrade(&mut request, host, shutdown)
    } else {
        let (head, incoming) = request.into_parts();
        if body::discard(incoming, MAX_REQUEST_BODY).await {
            route(&head, peer, app, number, shutdown).await
        } else {
            let mut refusal = error(StatusCode::PAYLOAD_TOO_LARGE, "a request body may have 16 MiB");
            refusal.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            refusal
        }
    };
    app.sign(response.headers_mut(), edge);
    response
}

async fn route(
    head: &hyper::http::request::Parts,
    peer: IpAddr,
    app: &App,
    number: u64,
    shutdown: &Shutdown,
) -> Response<AnyBody> {
    let query = head.uri.query().unwrap_or("");
    match head.uri.path() {
        "/check" => text(StatusCode::OK, format!("this is {} /check", app.identity.target)),
        "/" => about(head, peer, app, number),
        "/slow" => match number_of(query, "ms", 1_000, 0..=MAX_SLOW_MS) {
            Ok(ms) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                about(head, peer, app, number)
            }
            Err(e) => error(StatusCode::BAD_REQUEST, &e),
        },
        "/events" => {
            let count = number_of(query, "count", 10, 1..=MAX_EVENTS);
            let ms = number_of(query, "ms", 1_000, 10..=60_000);
            match (count, ms) {
                (Ok(count), Ok(ms)) => {
                    let mut r = Response::new(body::events(count, Duration::from_millis(ms), shutdown));
                    r.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
                    r.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                    r
                }
                (Err(e), _) | (_, Err(e)) => error(StatusCode::BAD_REQUEST, &e),
            }
        }
        path if path == "/grpc" || path.starts_with("/grpc/") => {
            error(StatusCode::NOT_IMPLEMENTED, "gRPC is not built yet")
        }
        path => match path[1..].split_once('/') {
            Some(("status", code)) => status(code),
            Some(("bytes", n)) => match n.parse() {
                Ok(n) if n <= MAX_BYTES => {
                    let mut r = Response::new(body::bytes(n));
                    r.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
                    r
                }
                _ => error(StatusCode::BAD_REQUEST, &format!("/bytes/N takes 0 to {MAX_BYTES}")),
            },
            _ => error(StatusCode::NOT_FOUND, "no such path"),
        },
    }
}

fn about(head: &hyper::http::request::Parts, peer: IpAddr, app: &App, number: u64) -> Response<AnyBody> {
    let edge = head.headers.get(EDGE).map(|v| String::from_utf8_lossy(v.as_bytes()));
    let path = head.uri.path_and_query().map_or("/", |p| p.as_str());
    json_answer(
        StatusCode::OK,
        &json!({
            "target": app.identity.target,
            "zone": app.identity.zone,
            "region": app.identity.region,
            "client": client(&head.headers, peer).to_string(),
            "edge": edge,
            "method": head.method.as_str(),
            "path": path,
            "headers": headers_json(&head.headers),
            "requests": number,
        }),
    )
}

/// Fields in name order; values of a repeated field are joined by a comma (RFC 9110 section 5.3).
fn headers_json(headers: &HeaderMap) -> Value {
    let mut object = Map::new();
    for name in headers.keys() {
        let values: Vec<_> = headers.get_all(name).iter().map(|v| String::from_utf8_lossy(v.as_bytes())).collect();
        object.insert(name.as_str().to_owned(), values.join(", ").into());
    }
    Value::Object(object)
}

fn status(code: &str) -> Response<AnyBody> {
    let wanted = code.parse().ok().filter(|c| (200..=599).contains(c));
    let Some(status) = wanted.and_then(|c| StatusCode::from_u16(c).ok()) else {
        return error(StatusCode::BAD_REQUEST, "/status/CODE takes 200 to 599");
    };
    if status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
        let mut r = Response::new(body::empty());
        *r.status_mut() = status;
        return r;
    }
    json_answer(status, &json!({ "status": status.as_u16() }))
}

/// The number `key` of a query, or what is wrong with it.
fn number_of(query: &str, key: &str, default: u64, range: std::ops::RangeInclusive<u64>) -> Result<u64, String> {
    let value = query.split('&').find_map(|pair| pair.split_once('=').filter(|(k, _)| *k == key));
    let Some((_, value)) = value else { return Ok(default) };
    value
        .parse()
        .ok()
        .filter(|n| range.contains(n))
        .ok_or_else(|| format!("{key} takes {} to {}", range.start(), range.end()))
}

fn text(status: StatusCode, text: String) -> Response<AnyBody> {
    with_type(status, "text/plain; charset=utf-8", text)
}

fn json_answer(status: StatusCode, value: &Value) -> Response<AnyBody> {
    with_type(status, "application/json", format!("{value}\n"))
}

/// A refusal, as JSON with the reason.
pub(crate) fn error(status: StatusCode, reason: &str) -> Response<AnyBody> {
    json_answer(status, &json!({ "error": reason }))
}

fn with_type(status: StatusCode, kind: &'static str, text: String) -> Response<AnyBody> {
    let mut r = Response::new(body::full(text));
    *r.status_mut() = status;
    r.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    r
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_the_query_has_a_default_and_a_range() {
        for (query, expected) in [
            ("", Ok(7)),
            ("other=1", Ok(7)),
            ("ms=0", Ok(0)),
            ("a=b&ms=9", Ok(9)),
            ("ms=10", Err(())),
            ("ms=", Err(())),
            ("ms=-1", Err(())),
            ("ms=99999999999999999999", Err(())),
        ] {
            assert_eq!(number_of(query, "ms", 7, 0..=9).map_err(|_| ()), expected, "{query}");
        }
    }

    #[test]
    fn repeated_headers_are_joined_in_the_order_they_came() {
        let mut headers = HeaderMap::new();
        for value in ["1", "2"] {
            headers.append("x-a", HeaderValue::from_static(value));
        }
        headers.append("x-b", HeaderValue::from_bytes(&[0xff]).unwrap());
        assert_eq!(headers_json(&headers), json!({ "x-a": "1, 2", "x-b": "\u{fffd}" }));
    }
}
