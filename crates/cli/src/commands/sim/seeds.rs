use std::ops::RangeInclusive;
use std::str::FromStr;

/// Most seeds of one command; Perigee's choice, days of work for any machine.
const SEEDS_MAX: u64 = 1_000_000;

/// Some seeds: `A..B`, both ends included, or `N` for the first N from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seeds(pub(crate) RangeInclusive<u64>);

impl Seeds {
    /// Each of them, in order.
    pub(super) fn list(&self) -> Vec<u64> {
        self.0.clone().collect()
    }
}

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str| part.trim().parse::<u64>().map_err(|_| format!("{part:?} is no seed"));
        let range = match text.split_once("..") {
            Some((first, last)) => number(first)?..=number(last.strip_prefix('=').unwrap_or(last))?,
            None => 1..=number(text)?,
        };
        if range.is_empty() {
            return Err(format!("{text:?} holds no seed"));
        }
        if range.end() - range.start() >= SEEDS_MAX {
            return Err(format!("at most {SEEDS_MAX} seeds"));
        }
        Ok(Self(range))
    }
}

impl std::fmt::Display for Seeds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}..{}", self.0.start(), self.0.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_both_its_ends_and_a_number_counts_from_one() {
        for (text, range) in [("1..3", 1..=3), ("5..=7", 5..=7), ("200", 1..=200), (" 4 .. 4 ", 4..=4), ("0..1", 0..=1)]
        {
            assert_eq!(text.parse(), Ok(Seeds(range)), "{text}");
        }
        assert_eq!("1..3".parse::<Seeds>().unwrap().list(), [1, 2, 3]);
    }

    #[test]
    fn no_seeds_and_too_many_are_refused() {
        for text in ["", "0", "3..1", "a..b", "1..", "-1..2", "1..1000001", "0..18446744073709551615"] {
            assert!(text.parse::<Seeds>().is_err(), "{text:?} was accepted");
        }
    }
}
