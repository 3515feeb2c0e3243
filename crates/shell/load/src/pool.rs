use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1::SendRequest;

use crate::wire::Wire;

/// An open connection and hyper's handle on it.
pub(crate) struct Connection {
    pub(crate) sender: SendRequest<Empty<Bytes>>,
    pub(crate) wire: Wire,
}

/// The idle kept connections. Each is used in turn, so that all of them stay in the test.
pub(crate) struct Pool {
    idle: Mutex<VecDeque<Connection>>,
    size: usize,
}

impl Pool {
    pub(crate) fn new(size: usize) -> Self {
        Self { idle: Mutex::default(), size }
    }

    /// The connection that was idle longest.
    pub(crate) fn take(&self) -> Option<Connection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Keeps a connection whose answer is complete, or closes it if there are enough.
    pub(crate) fn put(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.size {
            idle.push_back(connection);
        }
    }
}
