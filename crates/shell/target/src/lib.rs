//! The built-in application: an HTTP/1.1 server that says who and where it is, to try the balancer with.
//!
//! It is an ordinary server: it knows nothing of load balancers, edges or regions beyond its own names. Start with
//! [`serve`]; the endpoints are in the table of [`App`].

mod answer;
mod app;
mod body;
mod serve;
mod websocket;

pub use app::{App, Identity};
pub use serve::{serve, serve_connection};
