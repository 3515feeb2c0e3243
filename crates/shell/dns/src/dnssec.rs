//! Signs answers as they are made (`spec/dns.md` section 6).
//!
//! Nothing is signed ahead and there is no signed copy of a zone: a policy's answers are known only when somebody asks.
//! [`Signer::sign`] takes a finished [`Response`](crate::response::Response) and adds what a validator needs: the
//! apex's keys, a signature to every set of our own, and the proof of what is denied. The sets that a zone can give
//! are few, so [`cache`] answers most of it without touching a key.
//!
//! Files: [`keys`] are the key files and their states, [`zone_keys`] what a zone makes of them, [`canonical`] the form
//! that is signed, [`signature`] one signature and its window, [`denial`] the proofs, [`signer`] the whole.

mod cache;
mod canonical;
mod denial;
mod files;
pub mod keys;
mod signature;
mod signer;
mod zone_keys;

#[cfg(test)]
mod tests;

pub(crate) use cache::CacheMetrics;
pub(crate) use signer::{Asked, Signer};
