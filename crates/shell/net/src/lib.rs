//! The shells' kit: the real clock, simulated hosts that can be made to fail, listeners, limits, drain, probers and
//! the PROXY protocol.
//!
//! It moves bytes and time and decides nothing about traffic. Start with [`Host`], a simulated machine whose sockets
//! obey a [`Fault`], and [`Shutdown`], the way everything ends.

mod clock;
mod crossings;
#[cfg(target_os = "linux")]
mod datagrams;
mod dns_probe;
mod fault;
mod gate;
mod host;
mod listener;
mod names;
mod probe;
pub mod proxy_protocol;
mod shutdown;
mod stream;
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "one socket option that neither the standard library nor `nix` reads")]
mod tcp_info;
mod unverified;

pub use clock::Clock;
pub use crossings::{Crossing, Crossings};
#[cfg(target_os = "linux")]
pub use datagrams::{
    ConnectedSocket, DatagramBatch, DatagramSocket, MAX_ANSWER, MAX_BATCH, MAX_QUERY, PacketBatch, Passed, Sent,
    StopReceiver, StopSender, stop_signal,
};
pub use dns_probe::DnsProber;
pub use fault::Fault;
pub use gate::{Gate, Pass};
pub use host::{Host, Obedience};
pub use listener::{HostListener, bind_tcp};
pub use names::Names;
pub use probe::{ProbeTarget, fetch, probe};
pub use shutdown::{Shutdown, Task};
pub use stream::{HostStream, connect, reset_on_drop};
#[cfg(target_os = "linux")]
pub use tcp_info::{TcpSegments, tcp_segments};
