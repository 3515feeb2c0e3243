use std::collections::BTreeSet;

use perigee_model::{Condition, Field, Rule};

use crate::listeners::{Owner, actions};
use crate::reader::{Node, Table};

/// Condition values of a rule, at most (ALB guide, "Quotas").
const MAX_VALUES: usize = 5;

/// Wildcards of a rule, at most (`spec/alb.md` section 7).
const MAX_WILDCARDS: usize = 6;

/// Characters of a value, at most (`spec/alb.md` section 7).
const MAX_CHARACTERS: usize = 128;

/// Reads the rules of a listener, in ascending priority.
pub(crate) fn read(listener: &Table<'_>, owner: &mut Owner<'_, '_>) -> Vec<Rule> {
    let mut priorities = BTreeSet::new();
    let mut rules = Vec::new();
    for node in listener.list("rules") {
        let Some(t) = node.table() else { continue };
        let priority = t.need("priority").and_then(|n| {
            let priority: u16 = n.int(1..=50_000)?;
            if !priorities.insert(priority) {
                n.problem(format!("duplicate: another rule of the listener has priority {priority}"));
            }
            Some(priority)
        });
        t.unbuilt(&["transforms", "tags"]);
        let conditions = t.need("conditions").and_then(|n| conditions(&n));
        let action = actions(&t, "actions", owner);
        t.finish();
        if let (Some(priority), Some(conditions), Some(action)) = (priority, conditions, action) {
            rules.push(Rule { priority, conditions, action });
        }
    }
    rules.sort_by_key(|r| r.priority);
    rules
}

fn conditions(node: &Node<'_>) -> Option<Vec<Condition>> {
    let mut fields = BTreeSet::new();
    let mut made = Vec::new();
    let before = node.cx.count();
    for node in node.list_of(1..=MAX_VALUES, "conditions")? {
        let Some(t) = node.table() else { continue };
        const UNBUILT: [&str; 4] = ["http-header", "http-request-method", "query-string", "source-ip"];
        let built = [("host-header", Field::HostHeader), ("path-pattern", Field::PathPattern)];
        // The other keys of a field that is not known, or not built, cannot be judged.
        let Some(field) = t.need("field").and_then(|n| n.choice(&built, &UNBUILT)) else { continue };
        if !fields.insert(field == Field::HostHeader) {
            node.problem("duplicate: a rule has each of host-header and path-pattern once at most");
        }
        t.unbuilt(&["regex_values", "host_header_config", "path_pattern_config"]);
        let values = t.need("values").and_then(|n| n.list_of(1..=usize::MAX, "values")).unwrap_or_default();
        let values = values.iter().filter_map(|n| n.parse(|value| check(field, value))).collect();
        t.finish();
        made.push(Condition { field, values });
    }
    if node.cx.count() > before {
        return None;
    }
    let values = || made.iter().flat_map(|c| &c.values);
    let wildcards = values().flat_map(|v| v.bytes()).filter(|b| matches!(b, b'*' | b'?')).count();
    if values().count() > MAX_VALUES {
        node.problem(format!("has {} values, a rule has at most {MAX_VALUES}", values().count()));
    } else if wildcards > MAX_WILDCARDS {
        node.problem(format!("has {wildcards} wildcards, a rule has at most {MAX_WILDCARDS}"));
    }
    Some(made)
}

/// The characters that the original accepts (`spec/alb.md` section 7).
fn check(field: Field, value: &str) -> Result<String, String> {
    let count = value.chars().count();
    if !(1..=MAX_CHARACTERS).contains(&count) {
        return Err(format!("has {count} characters, must have 1 to {MAX_CHARACTERS}"));
    }
    let (extra, what) = match field {
        Field::HostHeader => ("-.*?", "a host"),
        Field::PathPattern => ("_-.$/~\"'@:+&*?", "a path"),
    };
    if let Some(bad) = value.chars().find(|c| !c.is_ascii_alphanumeric() && !extra.contains(*c)) {
        return Err(format!("{bad:?} is not accepted in {what}: letters, digits and {extra}"));
    }
    if field == Field::HostHeader {
        let last = value.rsplit_once('.').map(|(_, last)| last);
        if !last.is_some_and(|l| !l.is_empty() && l.bytes().all(|b| b.is_ascii_alphabetic())) {
            return Err("a host has at least one dot and only letters after the last".to_owned());
        }
    }
    Ok(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_paths_take_the_characters_of_the_original() {
        for host in ["*.example.com", "a-1.b", "??.example.com"] {
            assert!(check(Field::HostHeader, host).is_ok(), "{host}");
        }
        for host in ["", "localhost", "example.c0m", "a_b.com", "example.", "a.com:80", "é.com"] {
            assert!(check(Field::HostHeader, host).is_err(), "{host}");
        }
        for path in ["/", "/img/*", "/a?c/~x", "*.jpg"] {
            assert!(check(Field::PathPattern, path).is_ok(), "{path}");
        }
        for path in ["", "/a b", "/a#b", "/a%20b", "/a=b"] {
            assert!(check(Field::PathPattern, path).is_err(), "{path}");
        }
        assert!(check(Field::PathPattern, &"a".repeat(128)).is_ok());
        assert!(check(Field::PathPattern, &"a".repeat(129)).is_err());
    }
}
