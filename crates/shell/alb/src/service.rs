use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, HOST, HeaderValue};
use hyper::{Request, Response, Uri, Version};
use perigee_dataplane::{Forward, Routing};
use perigee_net::Fault;
use perigee_rules::RequestHead;
use tracing::debug;

use crate::answer::answer;
use crate::body::{AnswerBody, ClientBody, Progress, TargetBody};
use crate::client_io::ClientConn;
use crate::exchange::{Exchange, Lease};
use crate::metrics::GroupMetrics;
use crate::node::Shared;
use crate::refuse::check_head;
use crate::rewrite::{Hop, request_headers, strip_hop_by_hop, text};

/// Serves one request of a client connection: never fails, since every failure is an answer.
pub(crate) async fn serve(
    node: Arc<Shared>,
    conn: Arc<ClientConn>,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Infallible> {
    conn.serving.store(true, Ordering::Release);
    conn.requests.fetch_add(1, Ordering::Relaxed);
    let mut response = match handle(&node, &conn, request).await {
        Ok(response) => response,
        Err(status) => {
            node.metrics().own_answer(status);
            answer(status).map(|body| AnswerBody::own(body, conn.clone()))
        }
    };
    if conn.closing.is_cancelled() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    conn.answer_pending.store(true, Ordering::Release);
    Ok(response)
}

/// Errors: the status that the node answers with itself.
async fn handle(
    node: &Arc<Shared>,
    conn: &Arc<ClientConn>,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, u16> {
    match node.host.fault() {
        Fault::Error => return Err(500),
        Fault::Slow { .. } => tokio::time::sleep(node.host.fault().delay()).await,
        Fault::None | Fault::Crash | Fault::Blackhole => {}
    }
    let limits = node.config().limits;
    let headers_bytes = check_head(&request, &limits).map_err(|refused| {
        if let Some(limit) = refused.limit {
            node.metrics().limit(limit).inc();
        }
        refused.status
    })?;
    let (forward, group) = route(node, conn.listener_port, &request)?;
    if forward.fail_open {
        group.fail_open.inc();
    }
    let target = SocketAddr::new(forward.target.address, forward.target.port);
    let pool = node.pool.target(forward.token.target_id(), target);
    let mut lease = Lease::new(node.clone(), forward.token);
    let idle = node.config().idle_timeout;
    let (request, progress) = rewritten(node, conn, request, headers_bytes);
    let exchange = Exchange { node, pool: &pool, group: &group, progress: progress.as_deref(), idle };
    let (response, sender) = match exchange.run(request).await {
        Ok(done) => done,
        Err(status) => {
            lease.answered();
            return Err(status);
        }
    };
    lease.answered();
    group.answered(response.status().as_u16());
    let (mut parts, body) = response.into_parts();
    strip_hop_by_hop(&mut parts.headers);
    parts.version = Version::HTTP_11;
    let body = TargetBody::new(body, sender, pool, limits.idle_target_connections as usize, idle, lease);
    Ok(Response::from_parts(parts, AnswerBody::target(body, conn.clone())))
}

fn route(node: &Shared, listener_port: u16, request: &Request<Incoming>) -> Result<(Forward, Arc<GroupMetrics>), u16> {
    let uri = request.uri();
    let host = authority(uri).or_else(|| text(request.headers(), &HOST));
    let head = RequestHead { host, path: uri.path() };
    let mut core = node.core();
    match core.balancer.route(listener_port, &head) {
        Routing::Forward(forward) => {
            let Some(group) = core.groups.iter().find(|g| g.index == forward.target_group) else {
                // Both are replaced together under this lock.
                unreachable!("every group of the snapshot has its figures");
            };
            let group = group.clone();
            Ok((forward, group))
        }
        Routing::Respond { status, reason } => {
            debug!(status, %reason, "answered without a target");
            Err(status)
        }
    }
}

/// Host and port of an absolute request target, without a user's name before them.
fn authority(uri: &Uri) -> Option<&str> {
    let authority = uri.authority()?.as_str();
    Some(authority.rsplit_once('@').map_or(authority, |(_, host)| host))
}

/// The request as the target gets it.
fn rewritten(
    node: &Shared,
    conn: &ClientConn,
    request: Request<Incoming>,
    headers_bytes: usize,
) -> (Request<ClientBody>, Option<Arc<Progress>>) {
    let config = node.config();
    let (mut parts, incoming) = request.into_parts();
    let has_body = !incoming.is_end_stream();
    let hop = Hop {
        client: conn.client.ip(),
        edge: conn.edge.as_deref(),
        port: conn.local_port,
        dns_name: &config.dns_name,
        chunked: has_body,
        headers_bytes,
    };
    let authority = authority(&parts.uri).map(str::to_owned);
    request_headers(&mut parts.headers, authority.as_deref(), &hop, &node.trace_ids);
    if authority.is_some() {
        parts.uri = parts.uri.path_and_query().map_or_else(|| Uri::from_static("/"), |p| Uri::from(p.clone()));
    }
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    let progress = has_body.then(|| Arc::new(Progress::new()));
    let body = ClientBody::new(incoming, progress.clone(), config.idle_timeout);
    (Request::from_parts(parts, body), progress)
}
