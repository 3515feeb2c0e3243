use perigee_model::Instant;

/// The beginning of a scenario on the machines' clock. Ten minutes after the clock's own beginning, so that machines can
/// have been at work before: every check and sample has a phase, as in a stack that somebody started earlier.
pub(crate) const ZERO: Instant = Instant::from_nanos(600_000_000_000);

/// Nanoseconds of the scenario that are over at `at`.
pub(crate) const fn since_zero_ns(at: Instant) -> u64 {
    at.as_nanos().saturating_sub(ZERO.as_nanos())
}
