use perigee_admin::{AskError, Explain, ask};
use serde_json::json;

use super::{problems, sources};
use crate::args;
use crate::output;
use crate::stack::{Explained, offline};

/// Explains the way of one request: of the running stack, or of the configuration when none runs.
pub(crate) async fn explain(args: args::Explain) -> Result<(), String> {
    let mut headers = std::collections::BTreeMap::new();
    for header in &args.headers {
        let (name, value) = header.split_once(':').ok_or_else(|| format!("--header {header}: expected K:V"))?;
        headers.insert(name.trim().to_lowercase(), value.trim().to_owned());
    }
    let host = args.host.clone().or_else(|| headers.get("host").cloned());
    let request = Explain { client: args.client, host, path: args.path.clone(), method: args.method.clone(), headers };
    let answer = match ask(args.running.admin, "/v1/explain", Some(&json!(request))).await {
        Ok(answer) => answer,
        Err(AskError::Unreachable { .. }) => {
            let config = perigee_config::load(&sources(&args.sources)?).map_err(|p| problems(&p))?;
            json!(offline(&config, &request)?)
        }
        Err(error) => return Err(error.to_string()),
    };
    if args.running.json {
        output::line(answer.to_string());
        return Ok(());
    }
    let mut explained: Explained =
        serde_json::from_value(answer).map_err(|e| format!("an explanation of another version: {e}"))?;
    explained.explanation.request_line = format!("{} {}", request.method, request.path);
    if !explained.live {
        output::line("No stack is running: explained from the configuration, with everything healthy.\n");
    }
    output::line(explained.explanation.to_string());
    if let Some(attribution) = &explained.attribution {
        output::line(format!("\n{attribution} (https://db-ip.com)"));
    }
    Ok(())
}
