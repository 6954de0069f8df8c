//! A call runs this program, and ends it when nobody waits for the answer any more.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use rmcp::RoleServer;
use rmcp::model::{CallToolResult, ContentBlock, MetaObject, ProgressNotificationParam};
use rmcp::service::RequestContext;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::bounds::Bounds;
use crate::cli::WITH_PARENT;

/// How often a client hears that a call goes on, if nothing else is to be said.
const BEAT: Duration = Duration::from_secs(10);
/// Lines of what was said that an answer holds; progress has had the others.
const LINES: usize = 200;

/// Runs `mad` with these arguments and answers with what it printed. When the call is cancelled
/// or the client has gone, it is ended as Ctrl-C would, with all that it started, and waited for.
///
/// # Errors
/// When it cannot be started or listened to.
pub(super) async fn answer(
    argv: &[String],
    bounds: &Bounds,
    context: &RequestContext<RoleServer>,
    gone: &CancellationToken,
) -> Result<CallToolResult> {
    let program = std::env::current_exe().context("this program has no path")?;
    let mut child = Command::new(program)
        .args([WITH_PARENT, &std::process::id().to_string()])
        .args(["--json", "--root", "."])
        .args(argv)
        .current_dir(&bounds.root)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("cannot start `mad`")?;
    let stdout = child.stdout.take().context("no standard output")?;
    let stderr = child.stderr.take().context("no standard error")?;
    let printed = async {
        let mut text = Vec::new();
        BufReader::new(stdout).read_to_end(&mut text).await?;
        Ok::<_, std::io::Error>(text)
    };
    let said = tell(BufReader::new(stderr), context);
    let ended = end(&mut child, context, gone);
    let (printed, said, status) = tokio::join!(printed, said, ended);
    Ok(result(&printed?, &said?, status?))
}

/// Waits for the end of `child`, and brings it about when nobody waits for the answer.
async fn end(
    child: &mut Child,
    context: &RequestContext<RoleServer>,
    gone: &CancellationToken,
) -> std::io::Result<Option<i32>> {
    tokio::select! {
        status = child.wait() => return Ok(status?.code()),
        () = context.ct.cancelled() => {}
        () = gone.cancelled() => {}
    }
    // It is not waited for yet, so that the number is still its own.
    if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
        kill_process(pid, Signal::TERM)?;
    }
    Ok(child.wait().await?.code())
}

/// Passes on line by line what the program says, as progress, to a client that asked for it;
/// returns the last lines.
async fn tell(
    stderr: impl tokio::io::AsyncBufRead + Unpin,
    context: &RequestContext<RoleServer>,
) -> std::io::Result<Vec<String>> {
    let token = context.meta.get_progress_token();
    let mut lines = stderr.split(b'\n');
    let mut said: Vec<String> = Vec::new();
    let mut steps = 0_u32;
    let mut beat = tokio::time::interval(BEAT);
    beat.tick().await;
    loop {
        let message = tokio::select! {
            line = lines.next_segment() => match line? {
                Some(line) => {
                    let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                    if said.len() == LINES {
                        said.remove(0);
                    }
                    said.push(line.clone());
                    line
                }
                None => return Ok(said),
            },
            _ = beat.tick() => "still running".to_owned(),
        };
        steps += 1;
        if let Some(token) = &token {
            let progress = ProgressNotificationParam::new(token.clone(), f64::from(steps));
            // A client that has gone is noticed where its messages are read.
            let _ = context.peer.notify_progress(progress.with_message(message)).await;
        }
    }
}

/// The answer: the JSON of the command, and the same as text after what it said.
fn result(printed: &[u8], said: &[String], status: Option<i32>) -> CallToolResult {
    let meaning = match status {
        Some(0) => "ok",
        Some(1) => "findings or failure",
        Some(2) => "a build failed, or a name or tag matches nothing",
        Some(3) => "a run failed",
        Some(4) => "invalid arguments or configuration",
        Some(5) => "performance regression",
        _ => "ended by a signal",
    };
    let exit = status.map_or_else(|| "none".to_owned(), |s| s.to_string());
    let mut text = format!("exit status {exit}: {meaning}\n");
    for line in said {
        text.push_str(line);
        text.push('\n');
    }
    let printed = String::from_utf8_lossy(printed);
    let mut content = vec![ContentBlock::text(text)];
    let document: Option<Value> = serde_json::from_str(&printed).ok();
    if !printed.trim().is_empty() {
        content.push(ContentBlock::text(printed.trim_end()));
    }
    // A regression is what was asked for: an answer.
    let mut result = match status {
        Some(0 | 5) => CallToolResult::success(content),
        _ => CallToolResult::error(content),
    };
    result.structured_content = document.map(|document| match document {
        Value::Array(entries) => json!({ "entries": entries }),
        other => other,
    });
    let mut meta = MetaObject::new();
    meta.insert("exitStatus".to_owned(), json!(status));
    result.meta = Some(meta);
    result
}
