use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{Control, ControlError};

/// Greatest body of a request.
const BODY_MAX: usize = 64 * 1024;

type Answer = Response<Full<Bytes>>;

const ROUTES: &[(&str, &str)] = &[
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/v1/status"),
    ("GET", "/v1/events"),
    ("POST", "/v1/explain"),
    ("POST", "/v1/mappings"),
    ("POST", "/v1/kill"),
    ("POST", "/v1/restore"),
    ("POST", "/v1/reload"),
];

/// Answers one request.
pub(crate) async fn answer(request: Request<Incoming>, control: &dyn Control, registry: &Registry) -> Answer {
    let path = request.uri().path().to_owned();
    match (request.method(), path.as_str()) {
        (&Method::GET, "/healthz") => text(StatusCode::OK, "ok\n"),
        (&Method::GET, "/readyz") => match control.ready() {
            Ok(()) => text(StatusCode::OK, "ready\n"),
            Err(missing) => text(StatusCode::SERVICE_UNAVAILABLE, &format!("not ready: {missing}\n")),
        },
        (&Method::GET, "/metrics") => metrics(registry),
        (&Method::GET, "/v1/status") => json_answer(StatusCode::OK, &control.status()),
        (&Method::GET, "/v1/events") => json_answer(StatusCode::OK, &control.events()),
        (&Method::POST, "/v1/explain") => match body(request).await {
            Ok(explain) => result(control.explain(explain)),
            Err(answer) => answer,
        },
        (&Method::POST, "/v1/mappings") => match body(request).await {
            Ok(mappings) => result(control.mappings(mappings)),
            Err(answer) => answer,
        },
        (&Method::POST, "/v1/kill") => match body(request).await {
            Ok(kill) => result(control.kill(kill).await),
            Err(answer) => answer,
        },
        (&Method::POST, "/v1/restore") => match body(request).await {
            Ok(restore) => result(control.restore(restore).await),
            Err(answer) => answer,
        },
        (&Method::POST, "/v1/reload") => match body::<Value>(request).await {
            Ok(_) => result(control.reload().await),
            Err(answer) => answer,
        },
        (&Method::GET, "/") => {
            let routes: Vec<String> = ROUTES.iter().map(|(method, path)| format!("{method} {path}")).collect();
            json_answer(StatusCode::OK, &json!({ "perigee": env!("CARGO_PKG_VERSION"), "routes": routes }))
        }
        _ => no_route(&path),
    }
}

fn no_route(path: &str) -> Answer {
    let allowed: Vec<&str> = ROUTES.iter().filter(|(_, p)| *p == path).map(|(method, _)| *method).collect();
    if allowed.is_empty() {
        return error(StatusCode::NOT_FOUND, "no such path; GET / lists what there is");
    }
    let mut answer = error(StatusCode::METHOD_NOT_ALLOWED, "wrong method for this path");
    if let Ok(allow) = HeaderValue::from_str(&allowed.join(", ")) {
        answer.headers_mut().insert(ALLOW, allow);
    }
    answer
}

/// Reads a JSON body. The content type is insisted on: a page in a browser cannot send it elsewhere unasked.
async fn body<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Answer> {
    let is_json = request.headers().get(CONTENT_TYPE).is_some_and(|t| t.as_bytes().starts_with(b"application/json"));
    if !is_json {
        return Err(error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Content-Type must be application/json"));
    }
    let bytes = Limited::new(request.into_body(), BODY_MAX)
        .collect()
        .await
        .map_err(|_| error(StatusCode::PAYLOAD_TOO_LARGE, "body cut off or above 65536 bytes"))?
        .to_bytes();
    serde_json::from_slice(&bytes).map_err(|e| error(StatusCode::BAD_REQUEST, &e.to_string()))
}

fn result(result: Result<Value, ControlError>) -> Answer {
    match result {
        Ok(value) => json_answer(StatusCode::OK, &value),
        Err(failure) => {
            let status = match failure {
                ControlError::Invalid(_) => StatusCode::BAD_REQUEST,
                ControlError::NotFound(_) => StatusCode::NOT_FOUND,
                ControlError::Refused(_) => StatusCode::CONFLICT,
            };
            error(status, &failure.to_string())
        }
    }
}

fn error(status: StatusCode, message: &str) -> Answer {
    json_answer(status, &json!({ "error": message }))
}

fn json_answer(status: StatusCode, value: &Value) -> Answer {
    let mut text = value.to_string();
    text.push('\n');
    with_type(status, text, "application/json")
}

fn text(status: StatusCode, text: &str) -> Answer {
    with_type(status, text.to_owned(), "text/plain; charset=utf-8")
}

fn metrics(registry: &Registry) -> Answer {
    let mut text = String::new();
    match encode(&mut text, registry) {
        Ok(()) => with_type(StatusCode::OK, text, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        Err(_) => error(StatusCode::INTERNAL_SERVER_ERROR, "metrics could not be written"),
    }
}

fn with_type(status: StatusCode, body: String, content_type: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
