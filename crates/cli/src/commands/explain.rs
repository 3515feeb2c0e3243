use perigee_admin::{AskError, Explain, ExplainName, ask};
use serde_json::{Value, json};

use super::{problems, sources};
use crate::args;
use crate::output;
use crate::stack::{Explained, ExplainedName, offline, offline_name};

const OFFLINE: &str = "No stack is running: explained from the configuration, with everything healthy.\n";

/// Explains the way of one request, or a name's answer: of the running stack, or of the configuration when none runs.
pub(crate) async fn explain(args: args::Explain) -> Result<(), String> {
    let mut headers = std::collections::BTreeMap::new();
    for header in &args.headers {
        let (name, value) = header.split_once(':').ok_or_else(|| format!("--header {header}: expected K:V"))?;
        headers.insert(name.trim().to_lowercase(), value.trim().to_owned());
    }
    let host = args.host.clone().or_else(|| headers.get("host").cloned());
    let dns = args.dns.clone().map(|name| ExplainName {
        name,
        record_type: args.record_type.to_ascii_uppercase(),
        resolver: args.resolver,
    });
    let (path, method) = (args.path.clone(), args.method.clone());
    let request = Explain { client: args.client, host, path, method, headers, dns };
    let answer = match ask(args.running.admin, "/v1/explain", Some(&json!(request))).await {
        Ok(answer) => answer,
        Err(AskError::Unreachable { .. }) => {
            let config = perigee_config::load(&sources(&args.sources)?).map_err(|p| problems(&p))?;
            match &request.dns {
                Some(dns) => json!(offline_name(&config, request.client, dns)?),
                None => json!(offline(&config, &request)?),
            }
        }
        Err(error) => return Err(error.to_string()),
    };
    if args.running.json {
        output::line(answer.to_string());
        return Ok(());
    }
    let attribution = if request.dns.is_some() { show_name(answer)? } else { show_request(answer, &request)? };
    if let Some(attribution) = attribution {
        output::line(format!("\n{attribution} (https://db-ip.com)"));
    }
    Ok(())
}

/// Shows an explanation and gives whose data it is.
fn show_request(answer: Value, request: &Explain) -> Result<Option<String>, String> {
    let mut explained: Explained = serde_json::from_value(answer).map_err(another_version)?;
    explained.explanation.request_line = format!("{} {}", request.method, request.path);
    if !explained.live {
        output::line(OFFLINE);
    }
    output::line(explained.explanation.to_string());
    Ok(explained.attribution)
}

fn show_name(answer: Value) -> Result<Option<String>, String> {
    let explained: ExplainedName = serde_json::from_value(answer).map_err(another_version)?;
    if !explained.live {
        output::line(OFFLINE);
    }
    output::line(explained.explanation.to_string());
    Ok(explained.attribution)
}

fn another_version(error: serde_json::Error) -> String {
    format!("an explanation of another version: {error}")
}
