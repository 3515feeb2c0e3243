//! The checks that look at the sources and the dependencies rather than run the program.

use crate::exec::{Failure, cargo, command, output, root, run, succeeds};
use crate::{licences, purity};

/// `cargo fmt --check` on every crate.
pub(crate) fn format() -> Result<(), Failure> {
    run(cargo(["fmt", "--all", "--check"]))
}

/// Clippy on everything there is to compile, warnings denied.
pub(crate) fn clippy() -> Result<(), Failure> {
    run(cargo(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]))
}

/// The examples in documentation comments; nextest does not run them.
pub(crate) fn doctests() -> Result<(), Failure> {
    run(cargo(["test", "--workspace", "--locked", "--doc", "--quiet"]))
}

/// The core crates depend on nothing that does I/O, tells time or draws entropy, and do none of it themselves.
pub(crate) fn purity() -> Result<(), Failure> {
    let crates = purity::core_crates(&root().join("crates/core"))?;
    let mut args: Vec<&str> = vec!["tree", "--locked", "--edges=normal", "--prefix=none", "--format={p}"];
    for name in crates.keys() {
        args.extend(["--package", name]);
    }
    let mut found = purity::impure_packages(&output(cargo(args))?);
    let mut files = 0;
    for dir in crates.values() {
        for file in purity::sources(dir)? {
            let text = std::fs::read_to_string(&file)
                .map_err(|e| Failure::new(format!("cannot read {}: {e}", file.display())))?;
            let shown = file.strip_prefix(root()).unwrap_or(&file).display().to_string();
            found.extend(purity::impure_uses(&text).into_iter().map(|what| format!("{shown}: {what}")));
            files += 1;
        }
    }
    println!("  {} core crates, {files} source files, {} breaches", crates.len(), found.len());
    all_clear("the core is not pure", &found)
}

/// Licences, sources and banned packages by `deny.toml`, then known vulnerabilities where they can be asked for.
pub(crate) fn licences() -> Result<(), Failure> {
    let text = std::fs::read_to_string(root().join("deny.toml"))
        .map_err(|e| Failure::new(format!("cannot read deny.toml: {e}")))?;
    let policy = licences::Policy::parse(&text)?;
    let metadata = output(cargo(["metadata", "--format-version=1", "--locked"]))?;
    let (packages, found) = licences::check(&metadata, &policy)?;
    println!("  {packages} third-party packages, {} breaches of deny.toml", found.len());
    all_clear("deny.toml is not kept", &found)?;
    advisories()
}

/// Asks cargo-deny for known vulnerabilities. Its database lies on a public git server: no cargo-deny or no way there
/// is said and passed over, a vulnerability is a failure.
fn advisories() -> Result<(), Failure> {
    if !succeeds(cargo(["deny", "--version"])) {
        println!(
            "  known vulnerabilities NOT checked: cargo-deny is not installed (cargo install cargo-deny --locked)"
        );
        return Ok(());
    }
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let checked = command(&program, ["deny", "--color=never", "check", "advisories"])
        .env("GIT_TERMINAL_PROMPT", "0")
        .output()
        .map_err(|e| Failure::new(format!("cannot start cargo-deny: {e}")))?;
    let said = String::from_utf8_lossy(&checked.stderr);
    if checked.status.success() {
        println!("  no known vulnerabilities");
        Ok(())
    } else if licences::database_unreachable(&said) {
        println!("  known vulnerabilities NOT checked: the advisory database cannot be reached");
        Ok(())
    } else {
        Err(Failure::new(format!("cargo-deny found known vulnerabilities:\n{said}")))
    }
}

fn all_clear(what: &str, found: &[String]) -> Result<(), Failure> {
    if found.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("{what}:\n  {}", found.join("\n  "))))
}
