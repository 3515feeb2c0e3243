//! Checks every third-party package against `deny.toml`: its licence, where it comes from, whether it is banned.
//!
//! The same file drives cargo-deny. This check needs no tool and no network, so it runs everywhere; it reads
//! `licenses.allow`, `sources.allow-registry` and `bans.deny`.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::exec::Failure;

/// What `deny.toml` allows.
#[derive(Debug, Default)]
pub(crate) struct Policy {
    licences: BTreeSet<String>,
    registries: BTreeSet<String>,
    banned: BTreeSet<String>,
}

impl Policy {
    /// Reads the policy. Errors: not TOML, or nothing allowed, which would make every package a breach.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let table: toml_edit::DocumentMut = text.parse().map_err(|e| Failure::new(format!("deny.toml: {e}")))?;
        let list = |section: &str, key: &str, field: Option<&str>| -> BTreeSet<String> {
            let array = table.get(section).and_then(|s| s.get(key)).and_then(|a| a.as_array());
            array
                .into_iter()
                .flatten()
                .filter_map(|value| match field {
                    None => value.as_str(),
                    Some(field) => value.as_inline_table()?.get(field)?.as_str(),
                })
                .map(str::to_owned)
                .collect()
        };
        let policy = Self {
            licences: list("licenses", "allow", None),
            registries: list("sources", "allow-registry", None),
            banned: list("bans", "deny", Some("crate")),
        };
        if policy.licences.is_empty() || policy.registries.is_empty() {
            return Err(Failure::new("deny.toml: licenses.allow and sources.allow-registry must not be empty"));
        }
        Ok(policy)
    }
}

/// Judges what `cargo metadata --format-version=1` printed: the number of third-party packages and the breaches, in
/// package order. Errors: output of another form, or without any third-party package.
pub(crate) fn check(metadata: &str, policy: &Policy) -> Result<(usize, Vec<String>), Failure> {
    let metadata: Value =
        serde_json::from_str(metadata).map_err(|e| Failure::new(format!("cargo metadata printed no JSON: {e}")))?;
    let packages = metadata["packages"].as_array().map_or(&[] as &[Value], Vec::as_slice);
    let mut breaches = Vec::new();
    let mut count = 0;
    for package in packages {
        // A package without a source is a member of the workspace.
        let Some(source) = package["source"].as_str() else { continue };
        count += 1;
        let name = package["name"].as_str().unwrap_or("?");
        let version = package["version"].as_str().unwrap_or("?");
        match package["license"].as_str() {
            None => breaches.push(format!("{name} {version} states no licence")),
            Some(licence) if !allows(licence, &policy.licences) => {
                breaches.push(format!("{name} {version} is licensed {licence}, which deny.toml does not allow"));
            }
            Some(_) => {}
        }
        if !policy.registries.iter().any(|r| source.strip_prefix("registry+") == Some(r)) {
            breaches.push(format!("{name} {version} comes from {source}"));
        }
        if policy.banned.contains(name) {
            breaches.push(format!("{name} {version} is banned by deny.toml"));
        }
    }
    if count == 0 {
        return Err(Failure::new("cargo metadata lists no third-party package"));
    }
    breaches.sort();
    Ok((count, breaches))
}

/// Whether cargo-deny failed because it could not get or read its database rather than because of a finding.
pub(crate) fn database_unreachable(said: &str) -> bool {
    ["failed to fetch advisory database", "failed to load advisory database", "failed to open advisory database"]
        .iter()
        .any(|text| said.contains(text))
}

/// Whether an SPDX expression can be satisfied with allowed licences. `/`, crates.io's old way, means OR. An
/// expression that cannot be read allows nothing.
fn allows(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    either(&mut rest, allowed).is_some_and(|result| result && rest.is_empty())
}

fn either(rest: &mut &[&str], allowed: &BTreeSet<String>) -> Option<bool> {
    let mut result = both(rest, allowed)?;
    while let Some(("OR", tail)) = rest.split_first().map(|(word, tail)| (*word, tail)) {
        *rest = tail;
        result |= both(rest, allowed)?;
    }
    Some(result)
}

fn both(rest: &mut &[&str], allowed: &BTreeSet<String>) -> Option<bool> {
    let mut result = single(rest, allowed)?;
    while let Some(("AND", tail)) = rest.split_first().map(|(word, tail)| (*word, tail)) {
        *rest = tail;
        result &= single(rest, allowed)?;
    }
    Some(result)
}

fn single(rest: &mut &[&str], allowed: &BTreeSet<String>) -> Option<bool> {
    let (word, tail) = rest.split_first()?;
    *rest = tail;
    if *word == "(" {
        let result = either(rest, allowed)?;
        let (close, tail) = rest.split_first()?;
        *rest = tail;
        return (*close == ")").then_some(result);
    }
    if [")", "OR", "AND", "WITH"].contains(word) {
        return None;
    }
    if let [with, exception, tail @ ..] = *rest
        && *with == "WITH"
    {
        *rest = tail;
        // An exception only adds permissions, so the licence alone suffices too.
        return Some(allowed.contains(*word) || allowed.contains(&format!("{word} WITH {exception}")));
    }
    Some(allowed.contains(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"
        [licenses]
        allow = ["MIT", "Apache-2.0", "Unicode-3.0", "BSD-3-Clause WITH X-exception"]
        [bans]
        deny = [{ crate = "openssl-sys", reason = "r" }]
        [sources]
        allow-registry = ["https://github.com/rust-lang/crates.io-index"]
    "#;

    #[test]
    fn licence_expressions_follow_spdx() {
        let allowed = Policy::parse(POLICY).unwrap().licences;
        for good in [
            "MIT",
            "MIT OR GPL-3.0-only",
            "GPL-3.0-only OR MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Unlicense/MIT",
            "Apache-2.0 WITH LLVM-exception",
            "BSD-3-Clause WITH X-exception",
            "GPL-2.0-only AND MIT OR Apache-2.0",
        ] {
            assert!(allows(good, &allowed), "{good} was refused");
        }
        for bad in [
            "GPL-3.0-only",
            "MIT AND GPL-3.0-only",
            "BSD-3-Clause",
            "BSD-3-Clause WITH Other",
            "",
            "MIT OR",
            "(MIT",
            "MIT)",
            "MIT MIT",
            "(GPL-2.0-only OR GPL-3.0-only) AND MIT",
        ] {
            assert!(!allows(bad, &allowed), "{bad:?} was allowed");
        }
    }

    #[test]
    fn a_foreign_source_a_missing_licence_and_a_banned_name_are_breaches() {
        let metadata = r#"{"packages": [
            {"name": "ours", "version": "1", "source": null, "license": null},
            {"name": "good", "version": "1", "license": "MIT",
             "source": "registry+https://github.com/rust-lang/crates.io-index"},
            {"name": "forked", "version": "1", "license": "MIT", "source": "git+https://example.org/x"},
            {"name": "silent", "version": "1", "license": null,
             "source": "registry+https://github.com/rust-lang/crates.io-index"},
            {"name": "openssl-sys", "version": "1", "license": "MIT",
             "source": "registry+https://github.com/rust-lang/crates.io-index"}]}"#;
        let (count, breaches) = check(metadata, &Policy::parse(POLICY).unwrap()).unwrap();
        assert_eq!(count, 4);
        assert_eq!(breaches.len(), 3, "{breaches:?}");
        assert!(
            breaches[0].starts_with("forked") && breaches[1].starts_with("openssl") && breaches[2].starts_with("s")
        );
    }

    #[test]
    fn an_empty_policy_and_an_empty_answer_are_errors() {
        assert!(Policy::parse("").is_err());
        assert!(check(r#"{"packages": []}"#, &Policy::parse(POLICY).unwrap()).is_err());
        assert!(check("nonsense", &Policy::parse(POLICY).unwrap()).is_err());
    }

    #[test]
    fn the_shipped_policy_can_be_read() {
        let text = std::fs::read_to_string(crate::exec::root().join("deny.toml")).unwrap();
        let policy = Policy::parse(&text).unwrap();
        assert!(policy.licences.contains("MIT") && policy.banned.contains("openssl-sys"));
    }
}
