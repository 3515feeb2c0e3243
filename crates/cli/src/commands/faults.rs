use perigee_admin::{AskError, ask};
use serde_json::{Value, json};

use super::listed;
use crate::args::{How, Kill, Reload, Restore, Running};
use crate::output;

/// Breaks something on purpose.
pub(crate) async fn kill(args: Kill) -> Result<(), String> {
    let how = format!("{:?}", args.how).to_lowercase();
    if args.delay_ms.is_some() && !matches!(args.how, How::Slow) {
        return Err("--delay-ms goes with --how slow".to_owned());
    }
    let body = json!({ "what": args.what, "how": how, "delay_ms": args.delay_ms });
    let answer = post(&args.running, "/v1/kill", &body).await?;
    print(&args.running, &answer, |a| format!("{}: {} ({})", a["what"], a["how"], machines(a)));
    Ok(())
}

/// Mends it.
pub(crate) async fn restore(args: Restore) -> Result<(), String> {
    let answer = post(&args.running, "/v1/restore", &json!({ "what": args.what })).await?;
    print(&args.running, &answer, |a| format!("{}: restored ({})", a["what"], machines(a)));
    Ok(())
}

/// Reads the configuration again.
pub(crate) async fn reload(args: &Reload) -> Result<(), String> {
    let answer = match ask(args.running.admin, "/v1/reload", Some(&json!({}))).await {
        Err(AskError::Refused { message, .. }) => {
            let problems: Vec<String> = message.lines().map(str::to_owned).collect();
            return Err(listed("the old configuration stays in force, for the new one has", &problems));
        }
        other => other.map_err(|e| e.to_string())?,
    };
    print(&args.running, &answer, |a| format!("generation {} is in force", a["generation"]));
    Ok(())
}

fn machines(answer: &Value) -> String {
    let count = &answer["machines"];
    format!("{count} machine{}", if *count == 1 { "" } else { "s" })
}

async fn post(running: &Running, path: &str, body: &Value) -> Result<Value, String> {
    ask(running.admin, path, Some(body)).await.map_err(|e| e.to_string())
}

fn print(running: &Running, answer: &Value, words: impl Fn(&Value) -> String) {
    let text = if running.json { answer.to_string() } else { words(answer).replace('"', "") };
    output::line(text);
}
