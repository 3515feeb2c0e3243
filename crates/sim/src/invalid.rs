use std::fmt;

use thiserror::Error;

/// A field of a scenario that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field}: {problem}")]
pub struct Invalid {
    /// The field as the scenario names it, such as `clients.count`.
    pub field: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl Invalid {
    /// `problem` with the field called `field`.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }

    /// Accepts `value` from `min` to `max`, both included; not-a-number is in no range.
    pub(crate) fn unless_within<T: PartialOrd + fmt::Display>(
        field: &str,
        value: T,
        min: T,
        max: T,
    ) -> Result<(), Self> {
        if value >= min && value <= max { Ok(()) } else { Err(Self::new(field, format!("must be {min} to {max}"))) }
    }
}
