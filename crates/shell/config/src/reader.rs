use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use figment::value::{Dict, Value};

use crate::config::{Origin, Setting};
use crate::key_path::{KeyPath, quoted};
use crate::merged::Merged;
use crate::problem::{MAX_PROBLEMS, Problem};

/// What the reading of one configuration collects: problems, and the values with their origins.
pub(crate) struct Context<'a> {
    pub(crate) merged: &'a Merged,
    problems: RefCell<Vec<Problem>>,
    settings: RefCell<Vec<Setting>>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(merged: &'a Merged, problems: Vec<Problem>) -> Self {
        Self { merged, problems: RefCell::new(problems), settings: RefCell::default() }
    }

    pub(crate) fn root(&'a self) -> Node<'a> {
        Node { cx: self, path: KeyPath::default(), value: self.merged.tree() }
    }

    pub(crate) fn push(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    /// Notes a value and where it came from.
    pub(crate) fn record(&self, path: &KeyPath, value: serde_json::Value, origin: Origin) {
        self.settings.borrow_mut().push(Setting { key: path.to_string(), value, origin });
    }

    /// How many problems there are so far: whoever checks one value against another first asks whether both are good.
    pub(crate) fn count(&self) -> usize {
        self.problems.borrow().len()
    }

    /// Everything found.
    pub(crate) fn finish(self) -> (Vec<Problem>, Vec<Setting>) {
        (self.problems.into_inner(), self.settings.into_inner())
    }
}

/// A value of the merged configuration and where it stands.
#[derive(Clone)]
pub(crate) struct Node<'a> {
    pub(crate) cx: &'a Context<'a>,
    pub(crate) path: KeyPath,
    pub(crate) value: &'a Value,
}

impl<'a> Node<'a> {
    pub(crate) fn problem(&self, message: impl Into<String>) {
        self.cx.push(self.cx.merged.problem(&self.path, Some(self.value.tag()), message.into()));
    }

    pub(crate) fn origin(&self) -> Origin {
        self.cx.merged.origin(&self.path, Some(self.value.tag()))
    }

    fn record(&self, value: serde_json::Value) {
        self.cx.record(&self.path, value, self.origin());
    }

    fn wrong_type<T>(&self, wanted: &str) -> Option<T> {
        self.problem(format!("must be {wanted}, not {}", kind(self.value)));
        None
    }

    /// Text of a variable or a flag, which may stand for a number or a boolean.
    fn text(&self) -> Option<&'a str> {
        self.value.as_str().filter(|_| self.cx.merged.is_text(self.value.tag()))
    }

    pub(crate) fn str(&self) -> Option<&'a str> {
        match self.value.as_str() {
            Some(text) => {
                self.record(text.into());
                Some(text)
            }
            None => self.wrong_type("a text"),
        }
    }

    /// A text that is nobody's business: the values of a configuration are shown without it.
    pub(crate) fn secret(&self) -> Option<&'a str> {
        match self.value.as_str() {
            Some(text) => {
                self.record("(not shown)".into());
                Some(text)
            }
            None => self.wrong_type("a text"),
        }
    }

    /// A text that `parse` accepts; its error is the problem's message.
    pub(crate) fn parse<T>(&self, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        parse(self.str()?).map_err(|message| self.problem(message)).ok()
    }

    pub(crate) fn bool(&self) -> Option<bool> {
        let value = match (self.value, self.text()) {
            (Value::Bool(_, b), _) => *b,
            (_, Some("true")) => true,
            (_, Some("false")) => false,
            _ => return self.wrong_type("true or false"),
        };
        self.record(value.into());
        Some(value)
    }

    /// A whole number within `range`.
    pub(crate) fn int<T: TryFrom<i64> + Into<i64> + Copy>(&self, range: RangeInclusive<T>) -> Option<T> {
        let number = match (self.value, self.text()) {
            (Value::Num(_, n), _) => n.to_i128().and_then(|n| i64::try_from(n).ok()),
            (_, Some(text)) => text.trim().parse().ok(),
            _ => None,
        };
        let Some(number) = number else { return self.wrong_type("a whole number") };
        self.record(number.into());
        let (min, max) = ((*range.start()).into(), (*range.end()).into());
        let inside = (min..=max).contains(&number).then(|| T::try_from(number).ok()).flatten();
        if inside.is_none() {
            self.problem(format!("{number} is out of range, {min} to {max}"));
        }
        inside
    }

    /// A number, fractions included, within `range`; not-a-number is outside any.
    pub(crate) fn float(&self, range: RangeInclusive<f64>) -> Option<f64> {
        let number = match (self.value, self.text()) {
            (Value::Num(_, n), _) => n.to_f64().or_else(|| n.to_i128().map(|n| n as f64)),
            (_, Some(text)) => text.trim().parse().ok(),
            _ => None,
        };
        let Some(number) = number else { return self.wrong_type("a number") };
        self.record(number.into());
        if range.contains(&number) {
            return Some(number);
        }
        self.problem(format!("{number} is out of range, {} to {}", range.start(), range.end()));
        None
    }

    /// One of `built` by its text; one of `unbuilt` is known but refused.
    pub(crate) fn choice<T: Copy>(&self, built: &[(&str, T)], unbuilt: &[&str]) -> Option<T> {
        let text = self.str()?;
        if let Some((_, value)) = built.iter().find(|(name, _)| *name == text) {
            return Some(*value);
        }
        let names: Vec<&str> = built.iter().map(|(name, _)| *name).collect();
        let accepted = names.iter().map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(" or ");
        if unbuilt.contains(&text) {
            self.problem(format!("\"{text}\" is not built yet; accepted is {accepted}"));
        } else {
            self.problem(format!("{} is unknown; accepted is {accepted}", quoted(text)));
        }
        None
    }

    /// The value as text, for comparison with an attribute's one accepted value.
    pub(crate) fn plain(&self) -> Option<String> {
        let (plain, json) = match self.value {
            Value::String(_, s) => (s.clone(), s.as_str().into()),
            Value::Bool(_, b) => (b.to_string(), (*b).into()),
            Value::Num(_, n) => match n.to_i128().and_then(|n| i64::try_from(n).ok()) {
                Some(n) => (n.to_string(), n.into()),
                None => n.to_f64().map(|n| (n.to_string(), n.into()))?,
            },
            Value::Char(..) | Value::Empty(..) | Value::Dict(..) | Value::Array(..) => {
                return self.wrong_type("a single value");
            }
        };
        self.record(json);
        Some(plain)
    }

    /// The entries of a list, or none when it is something else, without a word.
    pub(crate) fn list_if_any(&self) -> Option<&'a [Value]> {
        self.value.as_array()
    }

    pub(crate) fn list(&self) -> Option<Vec<Self>> {
        let Value::Array(_, list) = self.value else { return self.wrong_type("a list") };
        if list.is_empty() {
            self.record(serde_json::json!([]));
        }
        Some(list.iter().enumerate().map(|(i, value)| Node { cx: self.cx, path: self.path.index(i), value }).collect())
    }

    /// A list of `count` entries, or none with a problem that says what they are.
    pub(crate) fn list_of(&self, count: RangeInclusive<usize>, what: &str) -> Option<Vec<Self>> {
        let list = self.list()?;
        if count.contains(&list.len()) {
            return Some(list);
        }
        let (min, max) = (count.start(), count.end());
        let wanted = match (min, max) {
            (min, max) if min == max => format!("exactly {min}"),
            (min, &usize::MAX) => format!("at least {min}"),
            _ => format!("{min} to {max}"),
        };
        self.problem(format!("has {} {what}, must have {wanted}", list.len()));
        None
    }

    pub(crate) fn table(&self) -> Option<Table<'a>> {
        let Value::Dict(_, dict) = self.value else { return self.wrong_type("a table") };
        Some(Table { cx: self.cx, path: self.path.clone(), dict, asked: RefCell::default() })
    }

    /// The entries of a table whose keys are names the user chose, in name order.
    pub(crate) fn entries(&self) -> Option<Vec<(&'a str, Self)>> {
        let Value::Dict(_, dict) = self.value else { return self.wrong_type("a table") };
        Some(dict.iter().map(|(k, value)| (k.as_str(), Node { cx: self.cx, path: self.path.key(k), value })).collect())
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(..) | Value::Char(..) => "a text",
        Value::Bool(..) => "a boolean",
        Value::Num(_, n) if n.to_i128().is_some() => "a whole number",
        Value::Num(..) => "a number with a fraction",
        Value::Empty(..) => "a date or time",
        Value::Dict(..) => "a table",
        Value::Array(..) => "a list",
    }
}

static NOTHING: Dict = Dict::new();

/// A table whose keys Perigee defines. Every key that is asked for counts as known, whether it is there or not; what
/// is left over at [`Table::finish`] is a problem.
pub(crate) struct Table<'a> {
    pub(crate) cx: &'a Context<'a>,
    pub(crate) path: KeyPath,
    dict: &'a Dict,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl<'a> Table<'a> {
    pub(crate) fn get(&self, key: &'static str) -> Option<Node<'a>> {
        self.asked.borrow_mut().insert(key);
        let value = self.dict.get(key)?;
        Some(Node { cx: self.cx, path: self.path.key(key), value })
    }

    /// The value of a key that has no default.
    pub(crate) fn need(&self, key: &'static str) -> Option<Node<'a>> {
        let node = self.get(key);
        if node.is_none() {
            self.problem_at(key, "is missing".into());
        }
        node
    }

    /// A problem with a key that is not there.
    pub(crate) fn problem_at(&self, key: &str, message: String) {
        let mut problem = self.cx.merged.problem(&self.path, None, message);
        problem.key = match problem.key.as_str() {
            "" => key.to_owned(),
            table => format!("{table}.{key}"),
        };
        self.cx.push(problem);
    }

    /// A table inside; empty when it is not there, or is something else, which is a problem.
    pub(crate) fn table(&self, key: &'static str) -> Self {
        let empty = || Self { cx: self.cx, path: self.path.key(key), dict: &NOTHING, asked: RefCell::default() };
        self.get(key).and_then(|n| n.table()).unwrap_or_else(empty)
    }

    /// The entries of the table at `key`; none when it is not there.
    pub(crate) fn entries(&self, key: &'static str) -> Vec<(&'a str, Node<'a>)> {
        self.get(key).and_then(|n| n.entries()).unwrap_or_default()
    }

    /// The list at `key`; empty when it is not there.
    pub(crate) fn list(&self, key: &'static str) -> Vec<Node<'a>> {
        self.get(key).and_then(|n| n.list()).unwrap_or_default()
    }

    /// Notes a value that no layer sets.
    pub(crate) fn record_default(&self, key: &str, value: serde_json::Value) {
        self.cx.record(&self.path.key(key), value, Origin::Default);
    }

    /// The value at `key`, or `default`, which also stands in for a refused value: the result is then thrown away.
    pub(crate) fn or<T>(
        &self,
        key: &'static str,
        default: T,
        shown: impl Into<serde_json::Value>,
        read: impl FnOnce(&Node<'a>) -> Option<T>,
    ) -> T {
        match self.get(key) {
            Some(node) => read(&node).unwrap_or(default),
            None => {
                self.record_default(key, shown.into());
                default
            }
        }
    }

    pub(crate) fn int_or<T>(&self, key: &'static str, range: RangeInclusive<T>, default: T) -> T
    where
        T: TryFrom<i64> + Into<i64> + Copy,
    {
        self.or(key, default, default.into(), |n| n.int(range))
    }

    pub(crate) fn bool_or(&self, key: &'static str, default: bool) -> bool {
        self.or(key, default, default, Node::bool)
    }

    /// A whole number of seconds.
    pub(crate) fn seconds_or(&self, key: &'static str, range: RangeInclusive<u32>, default: u32) -> Duration {
        Duration::from_secs(self.int_or(key, range, default).into())
    }

    /// A whole number of milliseconds.
    pub(crate) fn millis_or(&self, key: &'static str, range: RangeInclusive<u32>, default: Duration) -> Duration {
        let default = u32::try_from(default.as_millis()).unwrap_or(u32::MAX);
        Duration::from_millis(self.int_or(key, range, default).into())
    }

    /// Keys that the original has and Perigee does not yet.
    pub(crate) fn unbuilt(&self, keys: &[&'static str]) {
        for key in keys {
            if let Some(node) = self.get(key) {
                node.problem("is not built yet");
            }
        }
    }

    /// Reports every key that nobody asked for.
    pub(crate) fn finish(self) {
        let asked = self.asked.into_inner();
        for (key, value) in self.dict {
            if !asked.contains(key.as_str()) {
                let node = Node { cx: self.cx, path: self.path.key(key), value };
                node.problem(unknown(key, asked.iter().copied()));
                // A file of a million unknown keys gets its limit of problems, not a million comparisons.
                if self.cx.count() > MAX_PROBLEMS {
                    return;
                }
            }
        }
    }
}

/// The message for an unknown key, with the known one that looks most like it.
pub(crate) fn unknown(key: &str, known: impl Iterator<Item = &'static str>) -> String {
    const ALIKE: f64 = 0.6;
    if key.len() > 64 {
        return "unknown key".to_owned();
    }
    let score = |name: &str| strsim::normalized_damerau_levenshtein(key, name);
    let best = known.map(|name| (score(name), name)).max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(s, _)| *s >= ALIKE);
    match best {
        Some((_, name)) => format!("unknown key, did you mean `{name}`?"),
        None => "unknown key".to_owned(),
    }
}
