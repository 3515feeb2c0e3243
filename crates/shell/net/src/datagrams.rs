//! Datagrams in batches: many received with one call, many answered with one.
//!
//! A packet's way through the kernel is what an answer costs, so the two things that help are fewer calls
//! (`recvmmsg`, `sendmmsg`) and fewer ways: answers of one size to one client leave as one large packet that the
//! kernel, or the network card, cuts up (`UDP_SEGMENT`). Whatever cannot be sent like that is sent one by one.
//!
//! [`DatagramBatch`] answers datagrams, [`PacketBatch`] passes them on.
//!
//! Linux alone has these calls.

mod batch;
mod connected;
mod name;
mod outgoing;
mod packets;
mod socket;
mod stop;
#[allow(unsafe_code, reason = "four system calls that neither the standard library nor `nix` makes without allocation")]
mod sys;

pub use batch::{DatagramBatch, MAX_ANSWER, MAX_BATCH, MAX_QUERY};
pub use connected::ConnectedSocket;
pub use outgoing::Sent;
pub use packets::{PacketBatch, Passed};
pub use socket::DatagramSocket;
pub use stop::{StopReceiver, StopSender, stop_signal};

#[cfg(test)]
mod tests;
