use perigee_dns::keys::{self, KeyInfo};
use serde_json::{Value, json};

use crate::args::dns::{Dns, Keys, KeysOf};
use crate::output;

/// Makes, lists and tells about the keys of signed zones: files only, no running stack is asked.
pub(crate) fn dns(command: Dns) -> Result<(), String> {
    let Dns::Keys(command) = command;
    match command {
        Keys::Generate { of, algorithm, role, state } => {
            let made = keys::generate(&of.directory, &zone(&of), algorithm.into(), role.into(), state.into());
            show(&of, &[made.map_err(|e| e.to_string())?]);
        }
        Keys::List { of } => show(&of, &keys::list(&of.directory, &zone(&of)).map_err(|e| e.to_string())?),
        Keys::Ds { of } => lines(&of, "ds", &keys::ds(&of.directory, &zone(&of)).map_err(|e| e.to_string())?),
        Keys::Anchors { of } => {
            lines(&of, "anchors", &keys::anchors(&of.directory, &zone(&of)).map_err(|e| e.to_string())?);
        }
        Keys::State { of, tag, state } => {
            let moved = keys::set_state(&of.directory, &zone(&of), tag, state.into());
            show(&of, &[moved.map_err(|e| e.to_string())?]);
        }
    }
    Ok(())
}

/// The apex as the library wants it: lower case, without a final dot.
fn zone(of: &KeysOf) -> String {
    of.zone.strip_suffix('.').unwrap_or(&of.zone).to_ascii_lowercase()
}

fn show(of: &KeysOf, keys: &[KeyInfo]) {
    if of.json {
        output::line(json!({ "zone": zone(of), "keys": keys.iter().map(as_json).collect::<Vec<_>>() }).to_string());
        return;
    }
    if keys.is_empty() {
        output::note(format!("{} has no key of {}", of.directory.display(), zone(of)));
        return;
    }
    let row = |key: &KeyInfo| {
        vec![
            key.tag.to_string(),
            algorithm(key),
            key.role.as_str().to_owned(),
            key.state.as_str().to_owned(),
            key.secret.display().to_string(),
        ]
    };
    output::line(output::table(&["tag", "algorithm", "role", "state", "file"], keys.iter().map(row).collect()));
}

fn lines(of: &KeysOf, what: &str, lines: &[String]) {
    if of.json {
        output::line(json!({ "zone": zone(of), what: lines }).to_string());
    } else {
        output::line(lines.join("\n"));
    }
}

fn as_json(key: &KeyInfo) -> Value {
    json!({
        "tag": key.tag,
        "algorithm": algorithm(key),
        "role": key.role.as_str(),
        "state": key.state.as_str(),
        "file": key.secret,
    })
}

/// As a configuration writes it.
fn algorithm(key: &KeyInfo) -> String {
    format!("{:?}", key.algorithm).to_lowercase()
}
