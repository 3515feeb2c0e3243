use std::collections::BTreeMap;

use figment::value::{Dict, Tag, Value};

use crate::config::Origin;
use crate::key_path::{KeyPath, quoted};
use crate::merged::{Layer, Spots};
use crate::problem::Problem;
use crate::toml_text;

/// What a variable's name starts with to be read as configuration.
pub const ENV_PREFIX: &str = "PERIGEE_";

/// Variables with the prefix that are the command line's own and no configuration.
pub const RESERVED_ENV: [&str; 2] = ["PERIGEE_CONFIG", "PERIGEE_LOG"];

/// Bytes of a variable's or flag's value, at most. Perigee's choice: lists of addresses fit easily.
const MAX_VALUE_BYTES: usize = 4_096;

/// Levels of a key, at most; the deepest key of the configuration has fewer.
const MAX_LEVELS: usize = 16;

/// The layer of the environment: `PERIGEE_DNS__LISTEN` is `dns.listen`, whatever the case of the rest.
///
/// A shell allows no `-` in a name, so a level that names no existing key of `below` but does with `-` for `_` means
/// that one: `PERIGEE_REGIONS__AP_NORTHEAST_2__CITY`.
pub(crate) fn environment(vars: &[(String, String)], below: &Value, problems: &mut Vec<Problem>) -> Layer {
    let mut layer = Builder::default();
    for (variable, text) in vars {
        let Some(rest) = variable.strip_prefix(ENV_PREFIX) else { continue };
        if RESERVED_ENV.contains(&variable.as_str()) {
            continue;
        }
        let levels = rest.split("__").map(str::to_lowercase).collect();
        let result = layer.set(resolve(levels, below), text, variable);
        if let Err(message) = result {
            problems.push(Origin::Environment { variable: cut(variable) }.problem(String::new(), message));
        }
    }
    Layer { dict: layer.dict, spots: Spots::Environment(layer.names), root: KeyPath::default() }
}

/// The layer of the flags: dotted key, value, and the flag as the user types it.
pub(crate) fn flags(flags: &[(String, String, String)], problems: &mut Vec<Problem>) -> Layer {
    let mut layer = Builder::default();
    for (key, text, flag) in flags {
        let result = toml_edit::Key::parse(key)
            .map_err(|_| format!("{} is not a key", quoted(key)))
            .and_then(|keys| layer.set(keys.iter().map(|k| k.get().to_owned()).collect(), text, flag));
        if let Err(message) = result {
            problems.push(Origin::Flag { flag: cut(flag) }.problem(String::new(), message));
        }
    }
    Layer { dict: layer.dict, spots: Spots::Flags(layer.names), root: KeyPath::default() }
}

fn cut(name: &str) -> String {
    let quoted = quoted(name);
    quoted[1..quoted.len() - 1].to_owned()
}

/// Replaces each level by the existing key it means.
fn resolve(levels: Vec<String>, below: &Value) -> Vec<String> {
    let mut at = below.as_dict();
    levels
        .into_iter()
        .map(|level| {
            let means = |key: &&String| key.to_lowercase().replace('-', "_") == level.replace('-', "_");
            let key = match at {
                Some(dict) if !dict.contains_key(&level) => dict.keys().find(means).cloned().unwrap_or(level),
                _ => level,
            };
            at = at.and_then(|dict| dict.get(&key)).and_then(Value::as_dict);
            key
        })
        .collect()
}

#[derive(Default)]
struct Builder {
    dict: Dict,
    names: BTreeMap<KeyPath, String>,
}

impl Builder {
    fn set(&mut self, levels: Vec<String>, text: &str, name: &str) -> Result<(), String> {
        if levels.len() > MAX_LEVELS || levels.iter().any(String::is_empty) {
            return Err(format!("names no key: 1 to {MAX_LEVELS} levels, none of them empty"));
        }
        if text.len() > MAX_VALUE_BYTES {
            return Err(format!("the value has {} bytes, at most {MAX_VALUE_BYTES} are read", text.len()));
        }
        let value = match text.trim_start().chars().next() {
            Some('[' | '{') => toml_text::parse_value(text.trim())?,
            _ => Value::from(text),
        };
        let Some((last, tables)) = levels.split_last() else { return Ok(()) };
        let mut dict = &mut self.dict;
        for level in tables {
            let entry = dict.entry(level.clone()).or_insert_with(|| Value::Dict(Tag::Default, Dict::new()));
            let Value::Dict(_, inner) = entry else {
                return Err(format!("clashes with the value that is set for {}", quoted(level)));
            };
            dict = inner;
        }
        if dict.contains_key(last) {
            return Err(format!("is given twice: {} is set already", quoted(last)));
        }
        dict.insert(last.clone(), value);
        self.names.insert(levels.into_iter().collect(), name.to_owned());
        Ok(())
    }
}
