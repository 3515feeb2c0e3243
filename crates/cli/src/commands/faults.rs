use perigee_admin::ask;
use serde_json::{Value, json};

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
    print(&args.running, &answer, |a| format!("{}: {} ({} machines)", a["what"], a["how"], a["machines"]));
    Ok(())
}

/// Mends it.
pub(crate) async fn restore(args: Restore) -> Result<(), String> {
    let answer = post(&args.running, "/v1/restore", &json!({ "what": args.what })).await?;
    print(&args.running, &answer, |a| format!("{}: restored ({} machines)", a["what"], a["machines"]));
    Ok(())
}

/// Reads the configuration again.
pub(crate) async fn reload(args: &Reload) -> Result<(), String> {
    let answer = post(&args.running, "/v1/reload", &json!({})).await?;
    print(&args.running, &answer, |a| format!("generation {} is in force", a["generation"]));
    Ok(())
}

async fn post(running: &Running, path: &str, body: &Value) -> Result<Value, String> {
    ask(running.admin, path, Some(body)).await.map_err(|e| e.to_string())
}

fn print(running: &Running, answer: &Value, words: impl Fn(&Value) -> String) {
    let text = if running.json { answer.to_string() } else { words(answer).replace('"', "") };
    output::line(text);
}
