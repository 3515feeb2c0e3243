use std::collections::BTreeMap;

use figment::value::Value;

use crate::reader::{Node, Table, unknown};

/// The attributes of a load balancer or target group, by the names that the original gives them, such as
/// `idle_timeout.timeout_seconds`; in TOML that is a dotted key.
pub(crate) struct Attributes<'a, 'b> {
    table: &'b Table<'a>,
    leaves: BTreeMap<String, Node<'a>>,
    known: Vec<&'static str>,
}

impl<'a, 'b> Attributes<'a, 'b> {
    /// Takes the tables that start an attribute's name out of `table`.
    pub(crate) fn new(table: &'b Table<'a>, families: &[&'static str]) -> Self {
        let mut leaves = BTreeMap::new();
        for family in families {
            match table.get(family) {
                Some(node) if node.value.as_dict().is_some() => flatten((*family).to_owned(), node, &mut leaves),
                Some(node) => node.problem(format!("must be a table: attributes are written as `{family}.…`")),
                None => {}
            }
        }
        Self { table, leaves, known: Vec::new() }
    }

    /// How many problems the whole configuration has so far.
    pub(crate) fn problems(&self) -> usize {
        self.table.cx.count()
    }

    /// The attribute `name`, which stays to be taken.
    pub(crate) fn peek(&self, name: &str) -> Option<Node<'a>> {
        self.leaves.get(name).cloned()
    }

    /// The attribute `name`, once.
    pub(crate) fn take(&mut self, name: &'static str) -> Option<Node<'a>> {
        self.known.push(name);
        self.leaves.remove(name)
    }

    pub(crate) fn int_or<T>(&mut self, name: &'static str, range: std::ops::RangeInclusive<T>, default: T) -> T
    where
        T: TryFrom<i64> + Into<i64> + Copy,
    {
        match self.take(name) {
            Some(node) => node.int(range).unwrap_or(default),
            None => {
                let path = name.split('.').fold(self.table.path.clone(), |path, key| path.key(key));
                self.table.cx.record(&path, default.into().into(), crate::config::Origin::Default);
                default
            }
        }
    }

    /// Attributes of the original that Perigee knows by name but not in their effect yet, each with the values that
    /// change nothing and are therefore accepted.
    pub(crate) fn unbuilt(&mut self, list: &[(&'static str, &[&str])]) {
        for (name, accepted) in list {
            let Some(node) = self.take(name) else { continue };
            let Some(plain) = node.plain() else { continue };
            if !accepted.contains(&plain.as_str()) {
                let accepted = accepted.iter().map(|a| format!("`{a}`")).collect::<Vec<_>>().join(" or ");
                let only = if accepted.is_empty() { String::new() } else { format!("; accepted is {accepted}") };
                node.problem(format!("{} is not built yet{only}", crate::key_path::quoted(&plain)));
            }
        }
    }

    /// Reports every attribute that nobody took.
    pub(crate) fn finish(self) {
        for (name, node) in self.leaves {
            node.problem(unknown(&name, self.known.iter().copied()));
        }
    }
}

fn flatten<'a>(name: String, node: Node<'a>, leaves: &mut BTreeMap<String, Node<'a>>) {
    let Value::Dict(_, dict) = node.value else {
        leaves.insert(name, node);
        return;
    };
    for (key, value) in dict {
        let inner = Node { cx: node.cx, path: node.path.key(key), value };
        flatten(format!("{name}.{key}"), inner, leaves);
    }
}
