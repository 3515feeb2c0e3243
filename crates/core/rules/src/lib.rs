//! Listener rules: which action a request's host and path lead to.
//!
//! Decides from the request head alone; it does not choose a target, does not rewrite the request and keeps no state.
//! Start with [`Matcher`], a listener's rules made ready, and [`RequestHead`], what they look at.

mod matcher;
mod normalise;
mod pattern;

pub use matcher::{Matched, Matcher, RequestHead, RuleOutcome, RuleTrace, host_of};
pub use normalise::normalise_path;
pub use pattern::Pattern;
