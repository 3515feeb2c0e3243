use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use perigee_dataplane::RequestToken;
use perigee_net::connect;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::debug;

use crate::body::{ClientBody, Progress};
use crate::metrics::GroupMetrics;
use crate::node::Shared;
use crate::pool::TargetPool;

/// A connect to a target without an answer by then has failed (`alb.md` section 20).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Greatest head of a target's answer (`alb.md` section 18.2).
const RESPONSE_HEAD_MAX: usize = 32 * 1024;
/// What the original counts when a client left before its answer began.
const CLIENT_LEFT: u16 = 460;

/// A running request: hands the token back when it is over, however it ends.
#[derive(Debug)]
pub(crate) struct Lease {
    node: Arc<Shared>,
    token: Option<RequestToken>,
    answered: bool,
}

impl Lease {
    pub(crate) const fn new(node: Arc<Shared>, token: RequestToken) -> Self {
        Self { node, token: Some(token), answered: false }
    }

    /// The client gets an answer, whoever's.
    pub(crate) const fn answered(&mut self) {
        self.answered = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(token) = self.token.take() {
            self.node.core().balancer.request_finished(token);
        }
        if !self.answered && self.node.host.fault().has_network() {
            self.node.metrics().own_answer(CLIENT_LEFT);
        }
    }
}

/// What one exchange with a target depends on.
pub(crate) struct Exchange<'a> {
    pub(crate) node: &'a Shared,
    pub(crate) pool: &'a Arc<TargetPool>,
    pub(crate) group: &'a GroupMetrics,
    /// How far the client's body has come, none if there is none.
    pub(crate) progress: Option<&'a Progress>,
    pub(crate) idle: Duration,
}

impl Exchange<'_> {
    /// Sends the request and waits for the head of the answer; gives the connection too.
    ///
    /// A kept connection that turns out to be closed before a byte of the request was written is replaced, by another
    /// kept one or a fresh one to the same target; after that there is no second try. Errors: the status that the
    /// client gets instead (`alb.md` sections 20 and 22).
    pub(crate) async fn run(
        &self,
        mut request: Request<ClientBody>,
    ) -> Result<(Response<Incoming>, SendRequest<ClientBody>), u16> {
        loop {
            let kept = self.pool.take();
            let reused = kept.is_some();
            let mut sender = match kept {
                Some(sender) => sender,
                None => self.connect().await?,
            };
            match self.send(&mut sender, request).await {
                Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => return Err(502),
                Ok(response) => return Ok((response, sender)),
                Err(Failure::NotSent(unsent)) if reused => request = *unsent,
                Err(Failure::NotSent(_)) => return Err(502),
                Err(Failure::Status(status)) => return Err(status),
            }
        }
    }

    async fn send(
        &self,
        sender: &mut SendRequest<ClientBody>,
        request: Request<ClientBody>,
    ) -> Result<Response<Incoming>, Failure> {
        let answer = sender.try_send_request(request);
        tokio::pin!(answer);
        let patience = sleep_until(Instant::now() + self.idle);
        tokio::pin!(patience);
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return answer.map_err(|mut error| match error.take_message() {
                    Some(unsent) => Failure::NotSent(Box::new(unsent)),
                    None => {
                        debug!(target = %self.pool.address, error = %error.error(), "the exchange failed");
                        Failure::Status(self.blame(error.error()))
                    }
                }),
                () = &mut patience => match self.progress {
                    Some(progress) if progress.last() + self.idle > Instant::now() => {
                        patience.as_mut().reset(progress.last() + self.idle);
                    }
                    Some(progress) if progress.waits_for_client() => return Err(Failure::Status(408)),
                    Some(_) | None => return Err(Failure::Status(504)),
                },
            }
        }
    }

    /// The status for an exchange that broke off: whose fault it was decides.
    fn blame(&self, error: &hyper::Error) -> u16 {
        let client = self.progress.is_some_and(Progress::client_failed);
        let waited = std::error::Error::source(error)
            .and_then(|s| s.downcast_ref::<io::Error>())
            .is_some_and(|e| e.kind() == io::ErrorKind::TimedOut);
        match (client, waited) {
            (true, _) => 400,
            (false, true) => 408,
            (false, false) => 502,
        }
    }

    async fn connect(&self) -> Result<SendRequest<ClientBody>, u16> {
        let source = self.node.config().address;
        let opening = timeout(CONNECT_TIMEOUT, connect(&self.node.host, Some(source), self.pool.address));
        let opened = tokio::select! {
            opened = opening => opened,
            () = self.pool.cut.cancelled() => return Err(502),
        };
        let failed = |status: u16, error: &dyn std::fmt::Display| {
            debug!(target = %self.pool.address, %error, "no connection to the target");
            self.group.connection_errors.inc();
            status
        };
        let stream = match opened {
            Err(late) => return Err(failed(504, &late)),
            Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => return Err(failed(504, &error)),
            Ok(Err(error)) => return Err(failed(502, &error)),
            Ok(Ok(stream)) => stream,
        };
        let (sender, connection) = http1::Builder::new()
            .max_header_size(RESPONSE_HEAD_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failed(502, &error))?;
        let (host, cut) = (self.node.host.clone(), self.pool.cut.clone());
        tokio::spawn(async move {
            tokio::select! {
                // How it ended is told to whoever has a request on it.
                _ = host.run(connection) => {}
                () = cut.cancelled() => {}
            }
        });
        Ok(sender)
    }
}

enum Failure {
    /// Not a byte was written.
    NotSent(Box<Request<ClientBody>>),
    /// The client gets this status.
    Status(u16),
}
