//! Variations of a scenario's text: one key, several values.

use std::str::FromStr;

use toml_edit::{DocumentMut, InlineTable, Item, TableLike, Value};

/// A key of a scenario and the values that it takes, such as `stack.ttl_s=10,30`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vary {
    /// Dotted path; a row of `[[load]]` or `[[at]]` is named by its `name` or its position, as in `load.seoul.rate`.
    pub(crate) key: String,
    /// TOML values; what is none is a string.
    pub(crate) values: Vec<String>,
}

impl FromStr for Vary {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, values) = text.split_once('=').ok_or("expected KEY=VALUE,VALUE,...")?;
        let key = key.trim();
        if key.split('.').any(|level| level.trim().is_empty()) {
            return Err(format!("{key:?} is not a key"));
        }
        let values = split(values);
        if values.iter().any(String::is_empty) {
            return Err(format!("{key}: a value is empty"));
        }
        Ok(Self { key: key.to_owned(), values })
    }
}

/// Splits at the commas that are in no brackets and no quotation marks.
fn split(text: &str) -> Vec<String> {
    let (mut depth, mut quote) = (0_usize, None);
    let mut parts = vec![String::new()];
    for c in text.chars() {
        match (quote, c) {
            (Some(q), _) if c == q => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts.into_iter().map(|part| part.trim().to_owned()).collect()
}

/// Every combination of one value of each, the last key varying fastest; one empty combination of nothing.
pub(super) fn combinations(varied: &[Vary]) -> Vec<Vec<(String, String)>> {
    varied.iter().fold(vec![Vec::new()], |so_far, vary| {
        let with = |before: &Vec<(String, String)>, value: &String| {
            let mut all = before.clone();
            all.push((vary.key.clone(), value.clone()));
            all
        };
        so_far.iter().flat_map(|before| vary.values.iter().map(move |value| with(before, value))).collect()
    })
}

/// The scenario's text with these keys set.
///
/// Errors: the text is no TOML, or a path leads through something that is no table. Whether the result is a scenario
/// is for [`perigee_sim::Scenario::parse`] to say.
pub(super) fn with(text: &str, settings: &[(String, String)]) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|e| format!("{e}"))?;
    for (key, value) in settings {
        let value = Value::from_str(value).unwrap_or_else(|_| Value::from(value.as_str()));
        set(&mut document, key, value).map_err(|problem| format!("{key}: {problem}"))?;
    }
    Ok(document.to_string())
}

fn set(document: &mut DocumentMut, key: &str, value: Value) -> Result<(), String> {
    let mut levels: Vec<&str> = key.split('.').collect();
    let last = levels.pop().unwrap_or_default();
    let mut levels = levels.into_iter();
    let mut table: &mut dyn TableLike = document.as_table_mut();
    while let Some(level) = levels.next() {
        let item = table.entry(level).or_insert(toml_edit::value(InlineTable::new()));
        table = match item {
            Item::ArrayOfTables(rows) => {
                let which = levels.next().ok_or_else(|| format!("{level} has rows: {level}.NAME.KEY"))?;
                let named = rows.iter().position(|row| row.get("name").and_then(Item::as_str) == Some(which));
                let row = named.or_else(|| which.parse().ok()).and_then(|n| rows.get_mut(n));
                row.ok_or_else(|| format!("no {level} is called {which:?}"))?
            }
            item => item.as_table_like_mut().ok_or_else(|| format!("{level} is no table"))?,
        };
    }
    match table.get_mut(last) {
        Some(item @ (Item::None | Item::Value(_))) => *item = toml_edit::value(value),
        Some(_) => return Err(format!("{last} is a table, not a value")),
        None => {
            table.insert(last, toml_edit::value(value));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use perigee_sim::Scenario;

    use super::*;

    const TEXT: &str = r#"
# A comment stays.
story = "x"
[stack]
ttl_s = 30
[[load]]
name = "seoul"
from = "Seoul"
rate = 10
for_s = 2
[[at]]
name = "killed"
s = 1.0
kill = "r"
how = "crash"
"#;

    fn settings(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn varied(list: &[(&str, &str)]) -> Scenario {
        Scenario::parse(&with(TEXT, &settings(list)).unwrap()).unwrap()
    }

    #[test]
    fn keys_are_set_by_their_path_whether_they_are_there_or_not() {
        let scenario = varied(&[
            ("behaviour", "aws"),
            ("stack.ttl_s", "10"),
            ("stack.dials.ap-northeast-1", "80"),
            ("network.jitter", "0.1"),
            ("load.seoul.rate", "50"),
            ("load.0.for_s", "4"),
            ("at.killed.how", "blackhole"),
        ]);
        let stack = scenario.stack.unwrap();
        assert_eq!(scenario.behaviour, "aws");
        assert_eq!((stack.ttl_s, stack.dials["ap-northeast-1"]), (10, 80.0));
        assert_eq!((scenario.network.jitter, scenario.load[0].rate, scenario.load[0].for_s), (0.1, 50.0, 4.0));
        assert_eq!(scenario.at[0].how, Some(perigee_sim::How::Blackhole));
        let two = varied(&[("stack.dials.a", "80"), ("stack.dials.b", "70"), ("stack.regions", "[\"a\", \"b\"]")]);
        let stack = two.stack.unwrap();
        assert_eq!((stack.dials.len(), stack.regions.len()), (2, 2));
    }

    #[test]
    fn a_path_that_leads_nowhere_is_an_error_and_an_unknown_key_is_no_scenario() {
        for key in ["story.length", "load.tokyo.rate", "load.7.rate", "load", "load.seoul", "stack", "story.a.b"] {
            assert!(with(TEXT, &settings(&[(key, "1")])).is_err(), "{key} was set");
        }
        assert!(Scenario::parse(&with(TEXT, &settings(&[("stack.colour", "1")])).unwrap()).is_err());
        assert!(Scenario::parse(&with(TEXT, &settings(&[("stack.ttl_s", "soon")])).unwrap()).is_err());
    }

    #[test]
    fn values_are_split_at_commas_outside_brackets_and_quotation_marks() {
        let vary: Vary = "stack.regions=[\"a\",\"b\"],[\"c\"], \"d,e\"".parse().unwrap();
        assert_eq!(vary.values, ["[\"a\",\"b\"]", "[\"c\"]", "\"d,e\""]);
        for bad in ["behaviour", "=1", "a..b=1", "a=", "a=1,,2"] {
            assert!(bad.parse::<Vary>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn combinations_are_all_there_once_in_order() {
        let varied = ["a=1,2".parse().unwrap(), "b=x,y,z".parse().unwrap()];
        let all = combinations(&varied);
        let words: Vec<String> = all.iter().map(|c| format!("{}{}", c[0].1, c[1].1)).collect();
        assert_eq!(words, ["1x", "1y", "1z", "2x", "2y", "2z"]);
        assert_eq!(combinations(&[]), [vec![]]);
    }
}
