use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use figment::value::{Dict, Value};

use crate::config::Config;
use crate::key_path::KeyPath;
use crate::merged::{Layer, Merged, Spots};
use crate::names::check_region_code;
use crate::overrides;
use crate::problem::{Problem, Problems};
use crate::reader::Context;
use crate::toml_text;
use crate::{builtin, regions};

/// Bytes of one configuration file, at most. Perigee's choice: hundreds of resources fit in a tenth of it.
pub const MAX_FILE_BYTES: usize = 1 << 20;

/// Region files, at most. Perigee's choice: the largest cloud has fewer than 50 regions.
pub const MAX_FILES: usize = 256;

/// Bytes of all files together, at most. Perigee's choice: it bounds the memory that a reload can take.
pub const MAX_TOTAL_BYTES: usize = 8 << 20;

/// Where a configuration comes from.
#[derive(Clone, Debug)]
pub struct Sources {
    /// A directory with `perigee.toml`, `regions/*.toml` or both; none means the built-in configuration alone.
    pub dir: Option<PathBuf>,
    /// The environment; variables without the prefix `PERIGEE_` and [`crate::RESERVED_ENV`] are passed over.
    pub env: Vec<(String, String)>,
    /// Flags as (dotted key, value, flag as the user types it), such as `("here", "Tokyo", "--here")`.
    pub flags: Vec<(String, String, String)>,
    /// The generation of the snapshot, from 1.
    pub generation: u64,
}

impl Default for Sources {
    fn default() -> Self {
        Self { dir: None, env: Vec::new(), flags: Vec::new(), generation: 1 }
    }
}

/// Reads and checks a configuration.
///
/// Errors: every problem there is, not the first. Reads files and nothing else; the same sources give the same
/// result.
pub fn load(sources: &Sources) -> Result<Config, Problems> {
    let mut layers = Layers::from_dir(sources.dir.as_deref());
    layers.env = sources.env.clone();
    layers.flags = sources.flags.clone();
    layers.generation = sources.generation;
    layers.load()
}

/// The texts that a configuration is made of, read but not understood yet.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    main: Option<String>,
    regions: Vec<(String, String)>,
    /// Codes of region files that could not be read: what refers to them is not called dangling.
    unreadable: BTreeSet<String>,
    problems: Vec<Problem>,
    base: Option<PathBuf>,
    env: Vec<(String, String)>,
    flags: Vec<(String, String, String)>,
    generation: u64,
}

impl Layers {
    /// Reads the files of a directory; none is the built-in configuration. What cannot be read becomes a problem of
    /// [`Layers::load`].
    pub fn from_dir(dir: Option<&Path>) -> Self {
        let mut layers = Self { generation: 1, ..Self::default() };
        let Some(dir) = dir else { return layers };
        layers.base = Some(dir.to_owned());
        let mut budget = MAX_TOTAL_BYTES;
        match std::fs::metadata(dir) {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => return layers.refuse(&dir.display().to_string(), "is not a directory"),
            Err(e) => return layers.refuse(&dir.display().to_string(), &format!("cannot be read: {e}")),
        }
        let main = dir.join("perigee.toml");
        let has_main = main.symlink_metadata().is_ok();
        if has_main {
            match read(&main, &mut budget) {
                Ok(text) => layers.main = Some(text),
                Err(message) => layers.problem("perigee.toml", message),
            }
        }
        let files = match region_files(&dir.join("regions")) {
            Ok(files) => files,
            Err(message) => return layers.refuse("regions", &message),
        };
        if !has_main && files.is_empty() {
            return layers.refuse(&dir.display().to_string(), "holds neither perigee.toml nor regions/*.toml");
        }
        if files.len() > MAX_FILES {
            return layers.refuse("regions", &format!("holds {} files, at most {MAX_FILES} are read", files.len()));
        }
        for (code, path) in files {
            match read(&path, &mut budget) {
                Ok(text) => layers.regions.push((code, text)),
                Err(message) => {
                    layers.problem(&format!("regions/{code}.toml"), message);
                    layers.unreadable.insert(code);
                }
            }
        }
        layers
    }

    /// A configuration from texts: `perigee.toml`, and each region's code with its file.
    pub fn from_strings(main: Option<&str>, regions: &[(&str, &str)]) -> Self {
        Self {
            main: main.map(str::to_owned),
            regions: regions.iter().map(|(code, text)| ((*code).to_owned(), (*text).to_owned())).collect(),
            generation: 1,
            ..Self::default()
        }
    }

    /// With an environment, as [`Sources::env`].
    #[must_use]
    pub fn env(mut self, variables: &[(&str, &str)]) -> Self {
        self.env = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        self
    }

    /// With flags, as [`Sources::flags`].
    #[must_use]
    pub fn flags(mut self, flags: &[(&str, &str, &str)]) -> Self {
        self.flags = flags.iter().map(|(k, v, f)| ((*k).to_owned(), (*v).to_owned(), (*f).to_owned())).collect();
        self
    }

    fn problem(&mut self, file: &str, message: String) {
        self.problems.push(Problem { file: file.to_owned(), line: None, key: String::new(), message });
    }

    fn refuse(mut self, file: &str, message: &str) -> Self {
        self.problem(file, message.to_owned());
        self
    }

    /// Merges the layers and checks the result. Errors: every problem there is.
    pub fn load(self) -> Result<Config, Problems> {
        let Self { main, regions, mut unreadable, mut problems, base, env, flags, generation } = self;
        let main = main.and_then(|text| file("perigee.toml", &text, KeyPath::default(), &mut problems));
        let mut region_layers = Vec::new();
        let mut users_regions = main
            .as_ref()
            .and_then(|m| m.dict.get("regions"))
            .and_then(Value::as_dict)
            .cloned()
            .filter(|r| !r.is_empty());
        if !regions.is_empty() || !unreadable.is_empty() {
            users_regions.get_or_insert_with(Dict::new);
        }
        for (code, text) in regions {
            let name = format!("regions/{code}.toml");
            let legal = check_region_code(&code).map_err(|message| {
                problems.push(Problem { file: name.clone(), line: None, key: String::new(), message });
            });
            let root = KeyPath::default().key("regions").key(&code);
            let layer = legal.ok().and_then(|()| file(&name, &text, root, &mut problems));
            match layer {
                Some(layer) => {
                    let dict = Value::from(layer.dict.clone());
                    users_regions.get_or_insert_with(Dict::new).insert(code.clone(), dict);
                    region_layers.push(layer.under_region(&code));
                }
                None => {
                    unreadable.insert(code);
                }
            }
        }
        let mut layers = builtin::layers(main.as_ref().map(|m| &m.dict), users_regions.as_ref(), &mut problems);
        layers.extend(main);
        layers.extend(region_layers);
        let below = Merged::new(layers);
        let environment = overrides::environment(&env, below.tree(), &mut problems);
        let merged = below.with([environment, overrides::flags(&flags, &mut problems)]);
        let cx = Context::new(&merged, problems);
        let made = regions::read_all(&cx, &unreadable, base.as_deref(), generation);
        let (problems, settings) = cx.finish();
        match made {
            Some((snapshot, runtime)) if problems.is_empty() => Ok(Config { snapshot, runtime, settings }),
            _ => Err(Problems::new(problems)),
        }
    }
}

fn file(name: &str, text: &str, root: KeyPath, problems: &mut Vec<Problem>) -> Option<Layer> {
    match toml_text::parse(text, &root) {
        Ok((dict, lines)) => Some(Layer { dict, spots: Spots::File(name.to_owned(), lines), root }),
        Err(e) => {
            problems.push(Problem { file: name.to_owned(), line: e.line, key: String::new(), message: e.message });
            None
        }
    }
}

/// Reads a regular file within the limits; anything else, such as a pipe, is not opened.
fn read(path: &Path, budget: &mut usize) -> Result<String, String> {
    let unreadable = |e: std::io::Error| format!("cannot be read: {e}");
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path)
        .map_err(unreadable)?
        .take(MAX_FILE_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() > MAX_FILE_BYTES {
        return Err(format!("is larger than {MAX_FILE_BYTES} bytes"));
    }
    *budget = budget
        .checked_sub(bytes.len())
        .ok_or_else(|| format!("is not read: the files are larger than {MAX_TOTAL_BYTES} bytes together"))?;
    String::from_utf8(bytes).map_err(|e| format!("is not UTF-8 from byte {}", e.utf8_error().valid_up_to()))
}

/// The region files by code, in code order; none when there is no such directory.
fn region_files(dir: &Path) -> Result<Vec<(String, PathBuf)>, String> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(format!("cannot be read: {e}")),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| format!("cannot be read: {e}"))?.path();
        if path.extension().is_some_and(|e| e == "toml") {
            let code = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
            files.push((code, path));
        }
    }
    files.sort();
    Ok(files)
}
