//! What people type and see, one command a file.

pub(crate) mod check;
pub(crate) mod dns;
pub(crate) mod explain;
pub(crate) mod faults;
pub(crate) mod geo;
pub(crate) mod load;
pub(crate) mod mappings;
pub(crate) mod shell;
pub(crate) mod sim;
pub(crate) mod status;
pub(crate) mod up;

use std::net::SocketAddr;

use perigee_config::Sources;

use crate::args;

/// The configuration's sources as the command line names them.
///
/// Errors: a `--set` without `=`.
pub(crate) fn sources(args: &args::Sources) -> Result<Sources, String> {
    let mut flags: Vec<(String, String, String)> = Vec::new();
    let mut flag = |key: &str, value: String, name: &str| flags.push((key.to_owned(), value, name.to_owned()));
    for set in &args.set {
        let (key, value) = set.split_once('=').ok_or_else(|| format!("--set {set}: expected KEY=VALUE"))?;
        flag(key.trim(), value.trim().to_owned(), "--set");
    }
    if let Some(here) = &args.here {
        flag("here", here.clone(), "--here");
    }
    if let Some(behaviour) = args.behaviour {
        flag("behaviour", format!("{behaviour:?}").to_lowercase(), "--behaviour");
    }
    if let Some(geo) = &args.geo {
        flag("geo.file", geo.display().to_string(), "--geo");
    }
    let env = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
    Ok(Sources { dir: args.config.clone(), env, flags, generation: 1 })
}

/// A listen address given by a flag.
pub(crate) fn listen(sources: &mut Sources, key: &str, address: Option<SocketAddr>, name: &str) {
    if let Some(address) = address {
        sources.flags.push((key.to_owned(), address.to_string(), name.to_owned()));
    }
}

/// Every problem of a configuration, one a line.
pub(crate) fn problems(problems: &perigee_config::Problems) -> String {
    listed("the configuration has", &problems.iter().map(ToString::to_string).collect::<Vec<_>>())
}

/// Problems, one a line, after what has them.
pub(crate) fn listed(what_has: &str, problems: &[String]) -> String {
    let list: Vec<String> = problems.iter().map(|p| format!("\n  {p}")).collect();
    let count = list.len();
    format!("{what_has} {count} problem{}:{}", if count == 1 { "" } else { "s" }, list.concat())
}
