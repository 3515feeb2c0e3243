//! A figure, and the bound that it has to hold.

use std::process::ExitCode;

use serde_json::{Value, json};

/// A measured figure. `cargo xtask` prints it for people and fails when a bound does not hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    what: String,
    figure: f64,
    unit: &'static str,
    at_most: Option<f64>,
}

impl Finding {
    /// A figure without a bound. The unit may be empty, for a number of things.
    pub fn new(what: impl Into<String>, figure: f64, unit: &'static str) -> Self {
        Self { what: what.into(), figure, unit, at_most: None }
    }

    /// With a bound: it holds while the figure is not above `most`.
    pub fn at_most(mut self, most: f64) -> Self {
        self.at_most = Some(most);
        self
    }

    /// Whether its bound holds; true without one. A figure that is not a number holds none.
    pub fn holds(&self) -> bool {
        self.at_most.is_none_or(|most| self.figure <= most)
    }

    /// As it is printed: `what`, `figure`, `unit`, `at_most` (null without a bound) and `holds`.
    pub fn to_json(&self) -> Value {
        json!({
            "what": self.what, "figure": self.figure, "unit": self.unit, "at_most": self.at_most,
            "holds": self.holds(),
        })
    }
}

/// Prints the findings, a JSON object per line. The exit status of the program: a failure when a bound does not hold.
#[allow(clippy::print_stdout, reason = "the output of a measurement is its interface")]
pub fn conclude(findings: &[Finding]) -> ExitCode {
    for finding in findings {
        println!("{}", finding.to_json());
    }
    if findings.iter().all(Finding::holds) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_holds_up_to_its_figure_and_not_beyond() {
        let failed = |n| Finding::new("failed", n, "").at_most(0.0);
        assert!(failed(0.0).holds());
        assert!(!failed(1.0).holds());
        assert!(!failed(f64::NAN).holds());
        assert!(Finding::new("seen", 1e9, "s").holds());
        assert_eq!(failed(1.0).to_json()["holds"], json!(false));
    }
}
