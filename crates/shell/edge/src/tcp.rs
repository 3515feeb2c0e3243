//! The TCP fast path: a thread per core that accepts, dials and relays by its own epoll, without a task, a lock or an
//! allocation per byte.
//!
//! ```text
//!   listeners      one socket an address and port (one per worker while there are few), all in the worker's epoll
//!       | accept, at most 64 a turn
//!       v
//!   dial           EdgeView::open -> Connection; nonblocking connects as it says. The client's bytes wait in the kernel
//!       | Use
//!       v
//!   relay          two halves: recv and send through one buffer of the worker; splice(2) once a read fills it
//! ```
//!
//! What a worker owns nobody else touches; it is told things through its [`mailbox`](mailbox::Mailbox). Start with
//! [`worker`].

mod accept;
mod backlog;
mod dial;
mod ending;
mod flow;
mod joined;
mod listener;
mod mailbox;
mod pipes;
mod places;
mod relay;
mod routes;
mod second_leg;
mod slab;
mod socket;
mod timers;
mod token;
mod worker;

pub(crate) use listener::{Listener, sockets_of};
pub(crate) use mailbox::{Command, Mailbox};
pub use relay::Side;
pub(crate) use worker::{Common, Worker};
