use std::collections::BTreeMap;

use figment::value::{Dict, Empty, Tag, Value};
use toml_edit::{Document, Item, TableLike};

use crate::key_path::KeyPath;

/// Which line each key path of a file stands on.
pub(crate) type Lines = BTreeMap<KeyPath, u32>;

/// A file that is no TOML: the line, if known, and what the parser says.
pub(crate) struct SyntaxError {
    pub(crate) line: Option<u32>,
    pub(crate) message: String,
}

/// Parses a file whose root lies at `root` of the configuration. The lines come with it because figment keeps where
/// a value came from per file only.
///
/// A date becomes an empty value, which no key accepts.
pub(crate) fn parse(text: &str, root: &KeyPath) -> Result<(Dict, Lines), SyntaxError> {
    let starts: Vec<usize> =
        std::iter::once(0).chain(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1)).collect();
    let line_of = |offset: usize| u32::try_from(starts.partition_point(|s| *s <= offset)).unwrap_or(u32::MAX);
    let document = Document::parse(text).map_err(|e| SyntaxError {
        line: e.span().map(|s| line_of(s.start)),
        message: format!("not TOML: {}", e.message().replace('\n', ", ")),
    })?;
    let mut walk = Walk { line_of: &line_of, lines: Lines::new() };
    let dict = walk.table(document.as_table(), root);
    Ok((dict, walk.lines))
}

/// Parses a list or an inline table that stands in an environment variable or a flag.
pub(crate) fn parse_value(text: &str) -> Result<Value, String> {
    let value: toml_edit::Value =
        text.parse().map_err(|e: toml_edit::TomlError| format!("not TOML: {}", e.message().replace('\n', ", ")))?;
    let mut walk = Walk { line_of: &|_| 1, lines: Lines::new() };
    Ok(walk.value(&value, &KeyPath::default()))
}

struct Walk<'a> {
    line_of: &'a dyn Fn(usize) -> u32,
    lines: Lines,
}

impl Walk<'_> {
    fn table(&mut self, table: &dyn TableLike, path: &KeyPath) -> Dict {
        let mut dict = Dict::new();
        for (name, item) in table.iter() {
            let path = path.key(name);
            self.note(&path, table.key(name).and_then(toml_edit::Key::span).or_else(|| item.span()));
            let value = self.item(item, &path);
            dict.insert(name.to_owned(), value);
        }
        dict
    }

    fn item(&mut self, item: &Item, path: &KeyPath) -> Value {
        match item {
            Item::None => Value::Empty(Tag::Default, Empty::None),
            Item::Value(value) => self.value(value, path),
            Item::Table(table) => Value::Dict(Tag::Default, self.table(table, path)),
            Item::ArrayOfTables(tables) => {
                let mut list = Vec::with_capacity(tables.len());
                for (i, table) in tables.iter().enumerate() {
                    let path = path.index(i);
                    self.note(&path, table.span());
                    list.push(Value::Dict(Tag::Default, self.table(table, &path)));
                }
                Value::Array(Tag::Default, list)
            }
        }
    }

    fn value(&mut self, value: &toml_edit::Value, path: &KeyPath) -> Value {
        match value {
            toml_edit::Value::String(s) => Value::from(s.value().as_str()),
            toml_edit::Value::Integer(n) => Value::from(*n.value()),
            toml_edit::Value::Float(n) => Value::from(*n.value()),
            toml_edit::Value::Boolean(b) => Value::from(*b.value()),
            toml_edit::Value::Datetime(_) => Value::Empty(Tag::Default, Empty::Unit),
            toml_edit::Value::InlineTable(table) => Value::Dict(Tag::Default, self.table(table, path)),
            toml_edit::Value::Array(array) => {
                let mut list = Vec::with_capacity(array.len());
                for (i, value) in array.iter().enumerate() {
                    let path = path.index(i);
                    self.note(&path, value.span());
                    list.push(self.value(value, &path));
                }
                Value::Array(Tag::Default, list)
            }
        }
    }

    fn note(&mut self, path: &KeyPath, span: Option<std::ops::Range<usize>>) {
        if let Some(span) = span {
            self.lines.insert(path.clone(), (self.line_of)(span.start));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_and_list_entry_has_its_line() {
        let text = "a = 1\n[b.c]\nd = [\n  1,\n  { e = 2 },\n]\n[[f]]\ng = 1\n[[f]]\ng = 2\n";
        let root = KeyPath::default();
        let (_, lines) = parse(text, &root).ok().unwrap();
        let at = |p: KeyPath| lines.get(&p).copied();
        assert_eq!(at(root.key("a")), Some(1));
        assert_eq!(at(root.key("b").key("c")), Some(2));
        assert_eq!(at(root.key("b").key("c").key("d").index(0)), Some(4));
        assert_eq!(at(root.key("b").key("c").key("d").index(1).key("e")), Some(5));
        assert_eq!(at(root.key("f").index(1)), Some(9));
        assert_eq!(at(root.key("f").index(1).key("g")), Some(10));
    }

    #[test]
    fn a_syntax_error_has_its_line() {
        let error = parse("a = 1\nb = = 2\n", &KeyPath::default()).err().unwrap();
        assert_eq!(error.line, Some(2));
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_overflow() {
        assert!(parse_value(&"[".repeat(4_000)).is_err());
        assert!(parse(&format!("a = {}1{}", "[".repeat(9_000), "]".repeat(9_000)), &KeyPath::default()).is_err());
    }
}
