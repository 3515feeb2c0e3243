use std::fmt;

use serde::Serialize;

/// A number outside the range its type accepts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutOfRange {
    /// Least accepted value.
    pub min: f64,
    /// Greatest accepted value.
    pub max: f64,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "must be {} to {}", self.min, self.max)
    }
}

/// The traffic dial of an endpoint group: the percentage, 0 to 100, of the traffic directed to the group by
/// proximity that the group accepts; the rest spills to the next group. Fractions are legal. Default 100.
///
/// Source: Global Accelerator API, `EndpointGroup.TrafficDialPercentage`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct TrafficDial(f64);

impl TrafficDial {
    /// Takes all the traffic directed to it.
    pub const FULL: Self = Self(100.0);

    /// A dial of `percent`. Errors: outside 0 to 100, or not a number.
    pub fn new(percent: f64) -> Result<Self, OutOfRange> {
        if (0.0..=100.0).contains(&percent) { Ok(Self(percent)) } else { Err(OutOfRange { min: 0.0, max: 100.0 }) }
    }

    /// The percentage, 0 to 100.
    pub const fn percent(self) -> f64 {
        self.0
    }
}

/// The weight of an endpoint, 0 to 255, default 128; zero takes no new flows.
///
/// Source: Global Accelerator API, `EndpointConfiguration.Weight`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Weight(u8);

impl Weight {
    /// The documented default.
    pub const DEFAULT: Self = Self(128);

    /// A weight; every `u8` is legal.
    pub const fn new(weight: u8) -> Self {
        Self(weight)
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// How many checks in a row turn an endpoint's state, 1 to 10, default 3, the same both ways.
///
/// Source: Global Accelerator API, `EndpointGroup.ThresholdCount`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ThresholdCount(u8);

impl ThresholdCount {
    /// The documented default.
    pub const DEFAULT: Self = Self(3);

    /// A count. Errors: outside 1 to 10.
    pub fn new(count: u8) -> Result<Self, OutOfRange> {
        if (1..=10).contains(&count) { Ok(Self(count)) } else { Err(OutOfRange { min: 1.0, max: 10.0 }) }
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dial_takes_fractions_and_refuses_what_is_no_percentage() {
        assert_eq!(TrafficDial::new(12.5).map(TrafficDial::percent), Ok(12.5));
        for bad in [-0.1, 100.1, f64::NAN, f64::INFINITY] {
            assert!(TrafficDial::new(bad).is_err(), "{bad} was taken for a dial");
        }
    }

    #[test]
    fn a_threshold_is_one_to_ten() {
        let legal: Vec<u8> = (0..=255).filter(|n| ThresholdCount::new(*n).is_ok()).collect();
        assert_eq!(legal, (1..=10).collect::<Vec<u8>>());
    }
}
