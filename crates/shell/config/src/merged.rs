use std::collections::BTreeMap;

use figment::value::{Dict, Map, Tag, Value};
use figment::{Figment, Metadata, Profile, Provider};

use crate::config::Origin;
use crate::key_path::KeyPath;
use crate::problem::Problem;
use crate::toml_text::Lines;

/// Where the keys of one layer stand.
pub(crate) enum Spots {
    /// In a shipped file of this name.
    BuiltIn(String, Lines),
    /// In a file of the user's, by its name relative to the configuration directory.
    File(String, Lines),
    /// Each in an environment variable of its own.
    Environment(BTreeMap<KeyPath, String>),
    /// Each in a flag of its own.
    Flags(BTreeMap<KeyPath, String>),
}

/// One layer of the configuration: values, where they stand, and where its root lies in the whole.
pub(crate) struct Layer {
    pub(crate) dict: Dict,
    pub(crate) spots: Spots,
    pub(crate) root: KeyPath,
}

/// What figment is given for a layer: its values, and its position among the layers as its name, so that the tag of
/// each merged value leads back to the layer.
struct Numbered<'a>(usize, &'a Layer);

impl Provider for Numbered<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.0.to_string())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.1.dict.clone())]))
    }
}

/// All layers merged by figment, the later ones over the earlier ones, with the way back to each value's origin.
pub(crate) struct Merged {
    layers: Vec<Layer>,
    figment: Figment,
    tree: Value,
}

impl Merged {
    pub(crate) fn new(layers: Vec<Layer>) -> Self {
        let figment =
            layers.iter().enumerate().fold(Figment::new(), |figment, (i, layer)| figment.merge(Numbered(i, layer)));
        // No provider above fails, so there is always data.
        let tree = figment.data().ok().and_then(|mut profiles| profiles.remove(&Profile::Default)).unwrap_or_default();
        Self { layers, figment, tree: Value::Dict(Tag::Default, tree) }
    }

    /// The same with more layers on top.
    pub(crate) fn with(self, layers: impl IntoIterator<Item = Layer>) -> Self {
        let mut all = self.layers;
        all.extend(layers);
        Self::new(all)
    }

    pub(crate) fn tree(&self) -> &Value {
        &self.tree
    }

    fn layer_of(&self, tag: Tag) -> Option<&Layer> {
        let index: usize = self.figment.get_metadata(tag)?.name.parse().ok()?;
        self.layers.get(index)
    }

    /// The layer to name for `path`: the one the value came from, or, for what is missing in a table, the last one
    /// that writes the table.
    fn layer(&self, path: &KeyPath, tag: Option<Tag>) -> Option<&Layer> {
        let last = |wanted: &dyn Fn(&Layer) -> bool| self.layers.iter().rev().find(|l| wanted(l));
        tag.and_then(|t| self.layer_of(t))
            .or_else(|| last(&|l| l.is_file() && (l.root == *path || l.writes(path))))
            .or_else(|| last(&|l| l.writes(path)))
            .or_else(|| last(&|l| l.is_file() && l.root == KeyPath::default()))
    }

    /// Where the value at `path` came from.
    pub(crate) fn origin(&self, path: &KeyPath, tag: Option<Tag>) -> Origin {
        let Some(layer) = self.layer(path, tag) else { return Origin::Default };
        match &layer.spots {
            Spots::BuiltIn(file, lines) => Origin::BuiltIn { file: file.clone(), line: nearest(lines, path) },
            Spots::File(file, lines) => Origin::File { file: file.clone(), line: nearest(lines, path) },
            Spots::Environment(names) => Origin::Environment { variable: name(names, path) },
            Spots::Flags(names) => Origin::Flag { flag: name(names, path) },
        }
    }

    /// Whether the value is text from a variable or a flag, where a number is written as text too.
    pub(crate) fn is_text(&self, tag: Tag) -> bool {
        self.layer_of(tag).is_some_and(|l| !l.is_file())
    }

    /// Whether the value is the user's, not a shipped one.
    pub(crate) fn is_users(&self, tag: Tag) -> bool {
        self.layer_of(tag).is_some_and(|l| !matches!(l.spots, Spots::BuiltIn(..)))
    }

    pub(crate) fn problem(&self, path: &KeyPath, tag: Option<Tag>, message: String) -> Problem {
        let key = match self.layer(path, tag) {
            Some(layer) => path.below(&layer.root),
            None => path.clone(),
        };
        self.origin(path, tag).problem(key.to_string(), message)
    }
}

impl Layer {
    fn is_file(&self) -> bool {
        matches!(self.spots, Spots::BuiltIn(..) | Spots::File(..))
    }

    fn writes(&self, path: &KeyPath) -> bool {
        match &self.spots {
            Spots::BuiltIn(_, lines) | Spots::File(_, lines) => lines.contains_key(path),
            Spots::Environment(names) | Spots::Flags(names) => {
                names.range(path.clone()..).next().is_some_and(|(key, _)| key.starts_with(path))
            }
        }
    }
}

/// The line of `path`, or of the closest table around it.
fn nearest(lines: &Lines, path: &KeyPath) -> Option<u32> {
    let mut path = path.clone();
    loop {
        if let Some(line) = lines.get(&path) {
            return Some(*line);
        }
        path = path.parent()?;
    }
}

/// The variable or flag of `path`, of something around it, or of the first thing inside it.
fn name(names: &BTreeMap<KeyPath, String>, path: &KeyPath) -> String {
    let mut around = Some(path.clone());
    while let Some(path) = around {
        if let Some(name) = names.get(&path) {
            return name.clone();
        }
        around = path.parent();
    }
    names.range(path.clone()..).next().map(|(_, name)| name.clone()).unwrap_or_default()
}
