//! Numbers for people: thousands apart, units behind, no more digits than mean something.

/// A count with a comma at every third digit.
pub(crate) fn count(n: u64) -> String {
    group(&n.to_string())
}

/// A number with so many decimals, thousands apart; never `-0`.
pub(crate) fn decimal(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return "-".into();
    }
    let text = format!("{:.decimals$}", value.abs());
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), None), |(w, f)| (w, Some(f)));
    let zero = text.bytes().all(|b| matches!(b, b'0' | b'.'));
    let sign = if value < 0.0 && !zero { "-" } else { "" };
    match fraction {
        Some(fraction) => format!("{sign}{}.{fraction}", group(whole)),
        None => format!("{sign}{}", group(whole)),
    }
}

/// A number with about three significant digits, the way axes and shares want it.
pub(crate) fn short(value: f64) -> String {
    let size = value.abs();
    match size {
        s if s >= 100.0 || s == 0.0 => decimal(value, 0),
        s if s >= 10.0 => trimmed(decimal(value, 1)),
        s if s >= 0.1 => trimmed(decimal(value, 2)),
        s if s >= 0.01 => trimmed(decimal(value, 3)),
        _ => trimmed(decimal(value, 5)),
    }
}

/// A span of seconds: `0.64 s`, `12.3 s`, `3 min 20 s`, `2 h 5 min`, `1 d 2 h`.
pub(crate) fn seconds(value: f64) -> String {
    if value < 0.0 {
        return format!("-{}", seconds(-value));
    }
    let whole = value.round() as u64;
    let two = |big: u64, unit: &str, small: u64, smaller: &str| match small {
        0 => format!("{big} {unit}"),
        _ => format!("{big} {unit} {small} {smaller}"),
    };
    match value {
        v if v < 1.0 => format!("{} s", decimal(v, 2)),
        v if v < 119.95 => format!("{} s", decimal(v, 1)),
        _ if whole < 7_200 => two(whole / 60, "min", whole % 60, "s"),
        _ if whole < 172_800 => two(whole / 3_600, "h", whole % 3_600 / 60, "min"),
        _ => two(whole / 86_400, "d", whole % 86_400 / 3_600, "h"),
    }
}

/// A span that something is counted per: `minute`, `2 min`, `10 s`.
pub(crate) fn per(span_s: f64) -> String {
    match span_s {
        1.0 => "second".into(),
        60.0 => "minute".into(),
        3_600.0 => "hour".into(),
        s if s < 120.0 && s.fract() == 0.0 => format!("{} s", decimal(s, 0)),
        s => seconds(s),
    }
}

/// A latency: `0.64 ms`, `12.3 ms`, `240 ms`, `2.41 s`.
pub(crate) fn milliseconds(value: f64) -> String {
    match value.abs() {
        v if v < 10.0 => format!("{} ms", decimal(value, 2)),
        v if v < 100.0 => format!("{} ms", decimal(value, 1)),
        v if v < 2_000.0 => format!("{} ms", decimal(value, 0)),
        _ => format!("{} s", decimal(value / 1_000.0, 2)),
    }
}

/// A latency of so many answers; a dash where there was none.
pub(crate) fn latency(answers: u64, value: f64) -> String {
    if answers > 0 { milliseconds(value) } else { "-".into() }
}

/// A percentage; small ones keep the digits that tell them from nothing.
pub(crate) fn percent(value: f64) -> String {
    match value.abs() {
        0.0 => "0 %".into(),
        v if v < 0.01 => format!("{} %", decimal(value, 5)),
        v if v < 1.0 => format!("{} %", decimal(value, 3)),
        v if v < 10.0 => format!("{} %", decimal(value, 2)),
        _ => format!("{} %", decimal(value, 1)),
    }
}

fn group(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

fn trimmed(text: String) -> String {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([count(0), count(999), count(1_000), count(18_234_567)], ["0", "999", "1,000", "18,234,567"]);
        assert_eq!(decimal(-1_234.56, 1), "-1,234.6");
        assert_eq!(decimal(-0.001, 2), "0.00");
    }

    #[test]
    fn spans_are_said_in_the_unit_that_fits() {
        let said: Vec<String> = [0.0, 0.642, 12.34, 64.0, 200.0, 1_800.0, 7_500.0, 183_600.0].map(seconds).into();
        assert_eq!(said, ["0.00 s", "0.64 s", "12.3 s", "64.0 s", "3 min 20 s", "30 min", "2 h 5 min", "2 d 3 h"]);
        assert_eq!(seconds(-2.0), "-2.0 s");
        assert_eq!([per(60.0), per(120.0), per(10.0), per(0.25)], ["minute", "2 min", "10 s", "0.25 s"]);
    }

    #[test]
    fn a_small_percentage_is_told_from_none() {
        assert_eq!(
            [percent(0.0), percent(0.000_12), percent(0.0417), percent(12.0)],
            ["0 %", "0.00012 %", "0.042 %", "12.0 %"]
        );
        assert_eq!([short(1_500.0), short(12.50), short(0.25), short(0.0)], ["1,500", "12.5", "0.25", "0"]);
        assert_eq!([milliseconds(0.5), milliseconds(48.26), milliseconds(2_410.0)], ["0.50 ms", "48.3 ms", "2.41 s"]);
    }
}
