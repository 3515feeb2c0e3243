use serde_json::json;

use super::library;
use crate::output;

/// Shows the built-in scenarios.
pub(super) fn list(as_json: bool) -> Result<(), String> {
    let all = library::all()?;
    if as_json {
        let rows = all.iter().map(|named| {
            let live = named.scenario.playable_live();
            json!({
                "name": named.name,
                "story": named.scenario.story,
                "behaviour": named.scenario.behaviour,
                "duration_s": named.scenario.duration_s(),
                "live": live.is_ok(),
                "not_live_because": live.err(),
            })
        });
        output::line(json!(rows.collect::<Vec<_>>()).to_string());
        return Ok(());
    }
    let rows = all.iter().map(|named| {
        let live = if named.scenario.playable_live().is_ok() { "yes" } else { "no" };
        vec![named.name.clone(), span(named.scenario.duration_s()), live.to_owned(), named.scenario.story.clone()]
    });
    output::line(output::table(&["scenario", "takes", "live", "story"], rows.collect()));
    output::line("\nperigee sim run NAME plays one in virtual time, perigee sim live NAME on real sockets.");
    Ok(())
}

/// A length of time for people: `9 s`, `15 min`, `24 h`.
pub(super) fn span(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s < 120.0 => (s, "s"),
        s if s < 7_200.0 => (s / 60.0, "min"),
        s => (s / 3_600.0, "h"),
    };
    let text = format!("{value:.1}");
    format!("{} {unit}", text.strip_suffix(".0").unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_told_in_the_unit_that_people_use() {
        for (seconds, text) in
            [(9.0, "9 s"), (0.5, "0.5 s"), (900.0, "15 min"), (86_400.0, "24 h"), (5_400.0, "90 min")]
        {
            assert_eq!(span(seconds), text);
        }
    }
}
