//! Proves that the core crates are pure: their dependency tree holds no runtime, socket, clock or entropy, and their
//! sources name nothing of the standard library that does.
//!
//! `crates/core/clippy.toml` catches calls at compile time by type; this check catches what clippy cannot see, a
//! dependency, and counts what it looked at, so that a check of nothing does not pass for a clean one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

use crate::exec::Failure;

/// Packages that the core must not reach, with why. A name that ends in `*` is a prefix.
const IMPURE_PACKAGES: &[(&str, &str)] = &[
    ("async-*", "async runtime"),
    ("chrono", "reads the clock"),
    ("crossbeam-*", "threads"),
    ("fastrand", "draws entropy"),
    ("futures*", "async"),
    ("getrandom", "draws entropy"),
    ("hickory-*", "sockets"),
    ("hyper*", "sockets"),
    ("libc", "system calls"),
    ("memmap2", "maps files"),
    ("mio", "sockets"),
    ("nix", "system calls"),
    ("polling", "sockets"),
    ("quanta", "reads the clock"),
    ("rand", "draws entropy"),
    ("rand_*", "draws entropy"),
    ("rayon*", "threads"),
    ("reqwest", "sockets"),
    ("rustix", "system calls"),
    ("rustls", "draws entropy and reads the clock"),
    ("smol", "async runtime"),
    ("socket2", "sockets"),
    ("tempfile", "files"),
    ("time", "reads the clock"),
    ("tokio*", "async runtime"),
    ("tracing-subscriber", "writes to files and terminals"),
    ("uuid", "draws entropy"),
    ("walkdir", "files"),
    ("windows-sys", "system calls"),
    ("perigee-config", "a shell"),
    ("perigee-net", "a shell"),
];

/// Paths of the standard library that the core must not name.
const IMPURE_PATHS: &[(&str, &str)] = &[
    ("std::env", "configuration arrives as a snapshot"),
    ("std::fs", "callers hand over bytes"),
    ("std::hash::RandomState", "hash seeds are injected"),
    ("std::collections::hash_map::RandomState", "hash seeds are injected"),
    ("std::io::stderr", "the core says nothing by itself"),
    ("std::io::stdin", "callers hand over bytes"),
    ("std::io::stdout", "the core says nothing by itself"),
    ("std::net::TcpListener", "the core has no sockets"),
    ("std::net::TcpStream", "the core has no sockets"),
    ("std::net::ToSocketAddrs", "the core resolves no names"),
    ("std::net::UdpSocket", "the core has no sockets"),
    ("std::os", "the core knows no operating system"),
    ("std::process", "the core starts nothing and never ends the process"),
    ("std::thread", "the core has no threads"),
    ("std::time::Instant", "`now` is an argument"),
    ("std::time::SystemTime", "`now` is an argument"),
    ("std::time::UNIX_EPOCH", "`now` is an argument"),
];

/// Macros that write to the terminal.
const PRINTING_MACROS: &[&str] = &["dbg", "eprint", "eprintln", "print", "println"];

/// The crates under `dir`: package name to folder. Errors: no crate there, or a manifest that cannot be read.
pub(crate) fn core_crates(dir: &Path) -> Result<BTreeMap<String, PathBuf>, Failure> {
    let mut crates = BTreeMap::new();
    for folder in entries(dir)? {
        let manifest = folder.join("Cargo.toml");
        if !manifest.exists() {
            continue;
        }
        let unreadable = |e: &dyn std::fmt::Display| Failure::new(format!("cannot read {}: {e}", manifest.display()));
        let text = std::fs::read_to_string(&manifest).map_err(|e| unreadable(&e))?;
        let table: toml_edit::DocumentMut = text.parse().map_err(|e| unreadable(&e))?;
        let name = table.get("package").and_then(|p| p.get("name")).and_then(|n| n.as_str());
        crates.insert(name.ok_or_else(|| unreadable(&"no package.name"))?.to_owned(), folder);
    }
    if crates.is_empty() {
        return Err(Failure::new(format!("no crate under {}", dir.display())));
    }
    Ok(crates)
}

/// Every Rust source of a crate that ends up in the library, in path order: `src`, without `tests.rs` files, which
/// are test modules by the house's layout. Errors: none there, or a folder that cannot be read.
pub(crate) fn sources(crate_dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let mut folders = vec![crate_dir.join("src")];
    while let Some(folder) = folders.pop() {
        for path in entries(&folder)? {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    if found.is_empty() {
        return Err(Failure::new(format!("no source under {}", crate_dir.display())));
    }
    Ok(found)
}

/// The impure packages in what `cargo tree --prefix=none --format={p}` printed, each once, with the reason.
pub(crate) fn impure_packages(tree: &str) -> Vec<String> {
    let mut names: Vec<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    names.sort_unstable();
    names.dedup();
    let reason = |name: &str| IMPURE_PACKAGES.iter().find(|(pattern, _)| matches(pattern, name)).map(|(_, why)| why);
    names.into_iter().filter_map(|n| reason(n).map(|why| format!("a core crate depends on {n} ({why})"))).collect()
}

/// What a source file names that is impure, in order; test modules are passed over. A file that does not parse is
/// reported as such.
pub(crate) fn impure_uses(source: &str) -> Vec<String> {
    let Ok(file) = syn::parse_file(source) else { return vec!["does not parse as Rust".into()] };
    let mut finder = Finder::default();
    finder.visit_file(&file);
    finder.found
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |prefix| name.starts_with(prefix))
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |e: std::io::Error| Failure::new(format!("cannot read {}: {e}", dir.display()));
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir)
        .map_err(unreadable)?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    paths.sort();
    Ok(paths)
}

#[derive(Default)]
struct Finder {
    found: Vec<String>,
}

impl Finder {
    /// Judges a path as written; `glob` when everything below it is imported.
    fn judge(&mut self, path: &str, glob: bool) {
        for (impure, why) in IMPURE_PATHS {
            let inside = path == *impure || path.strip_prefix(impure).is_some_and(|rest| rest.starts_with("::"));
            let covers = glob && impure.rsplit_once("::").is_some_and(|(parent, _)| parent == path);
            if inside || covers {
                self.found.push(format!("names {path}{} ({why})", if glob { "::*" } else { "" }));
                return;
            }
        }
    }

    /// Judges every path that a `use` brings in, groups unfolded.
    fn judge_use(&mut self, prefix: &str, tree: &syn::UseTree) {
        let below = |name: String| if prefix.is_empty() { name } else { format!("{prefix}::{name}") };
        match tree {
            syn::UseTree::Path(path) => self.judge_use(&below(path.ident.to_string()), &path.tree),
            syn::UseTree::Name(name) if name.ident == "self" => self.judge(prefix, false),
            syn::UseTree::Name(name) => self.judge(&below(name.ident.to_string()), false),
            syn::UseTree::Rename(name) if name.ident == "self" => self.judge(prefix, false),
            syn::UseTree::Rename(name) => self.judge(&below(name.ident.to_string()), false),
            syn::UseTree::Glob(_) => self.judge(prefix, true),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.judge_use(prefix, item)),
        }
    }
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_test_only(item) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.judge_use("", &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let words: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        self.judge(&words.join("::"), false);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        if let Some(name) = call.path.segments.last().map(|s| s.ident.to_string())
            && PRINTING_MACROS.contains(&name.as_str())
        {
            self.found.push(format!("calls {name}! (the core says nothing by itself)"));
        }
        // A macro's arguments are tokens, not syntax: look for the paths as text.
        let tokens = call.tokens.to_string().replace(' ', "");
        for (impure, why) in IMPURE_PATHS {
            if tokens.contains(impure) {
                self.found.push(format!("names {impure} ({why})"));
            }
        }
        visit::visit_macro(self, call);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        if signature.asyncness.is_some() {
            self.found.push(format!("fn {} is async (the core never waits)", signature.ident));
        }
        visit::visit_signature(self, signature);
    }

    fn visit_expr_async(&mut self, block: &'ast syn::ExprAsync) {
        self.found.push("has an async block (the core never waits)".into());
        visit::visit_expr_async(self, block);
    }
}

/// Whether an item exists in test builds alone. A `mod` behind `#[cfg(test)]` or a function behind `#[test]`.
fn is_test_only(item: &syn::Item) -> bool {
    let attributes = match item {
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => return false,
    };
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        syn::Meta::Path(path) => path.is_ident("test"),
        syn::Meta::NameValue(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_in_the_tree_is_found_with_its_reason() {
        let tree = "perigee-model v0.1.0 (/x)\nserde v1.0.0\ntokio v1.54.1\ntokio v1.54.1 (*)\ngetrandom v0.3.0\n";
        let found = impure_packages(tree);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("getrandom") && found[1].contains("tokio (async runtime)"));
    }

    #[test]
    fn names_that_only_begin_alike_are_no_breach() {
        assert_eq!(impure_packages("timely v1.0.0\nrandomize v1\nlibcst v1\nmiow v1"), Vec::<String>::new());
    }

    #[test]
    fn every_way_of_naming_an_impure_path_is_found() {
        for bad in [
            "use std::fs;",
            "use std::fs::File;",
            "use std::{collections::BTreeMap, fs::{self, File}};",
            "use std::net::*;",
            "use std::time::{Duration, Instant};",
            "use std::time::Instant as Clock;",
            "use ::std::env;",
            "fn f() { let _ = std::fs::read(\"x\"); }",
            "fn f() -> std::time::SystemTime { loop {} }",
            "fn f() { assert!(std::env::var(\"X\").is_ok()); }",
            "fn f() { println!(\"x\"); }",
            "async fn f() {}",
            "fn f() { let _ = async { 1 }; }",
            "mod inner { use std::thread; }",
            "fn f() { use std::process::exit; }",
        ] {
            assert!(!impure_uses(bad).is_empty(), "not found: {bad}");
        }
    }

    #[test]
    fn addresses_durations_and_tests_are_no_breach() {
        let source = r#"
            //! Mentions std::fs in words.
            use std::net::{IpAddr, Ipv4Addr};
            use std::time::Duration;
            use std::collections::*;
            /// `std::time::Instant` is not used.
            fn f(text: &str) -> bool { text == "std::fs" }
            #[cfg(test)]
            mod tests { use std::fs; #[test] fn t() { println!("{:?}", fs::read("x")); } }
        "#;
        assert_eq!(impure_uses(source), Vec::<String>::new());
    }

    #[test]
    fn a_file_that_does_not_parse_is_reported() {
        assert_eq!(impure_uses("fn (").len(), 1);
    }
}
