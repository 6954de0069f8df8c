//! `mad mcp`: commands as tools of the Model Context Protocol, over standard input and output.
//!
//! A tool runs this program with an argument list that is made here, in the directory of the
//! catalog, and answers with the JSON it prints. [`tools`] are the tools and what they take;
//! [`bounds`] what their arguments may name; [`child`] runs the program, and ends it.

mod bounds;
mod child;
mod tools;

use std::path::Path;
use std::pin::Pin;
use std::task::{Context as Waiting, Poll};

use anyhow::{Context, Result};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation,
    ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler, ServiceExt};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use bounds::Bounds;
use tools::Tool;

const INSTRUCTIONS: &str = "\
Benchmarks of AI model workloads, from the catalog of one directory. `discover` lists the entries; \
`benchmark` shows what would run, and runs it with `run: true`. Numbers are only compared on the \
same machine; a regression is an answer, not an error. Entries take turns on the hardware, so a \
call may wait for another one.";

/// Serves until the client has gone or a signal comes; what still runs then is ended first.
///
/// # Errors
/// When the catalog's directory or the run directory cannot be used, or the client does not
/// speak the protocol.
pub(crate) fn serve(root: &Path, run_dir: Option<&Path>) -> Result<()> {
    let bounds = Bounds::new(root, run_dir)?;
    // One thread, which lives as long as the server: the programs it starts are told when it
    // dies.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let served = runtime.block_on(serve_stdio(bounds));
    // A read from standard input that is under way cannot be waited for.
    runtime.shutdown_background();
    served
}

async fn serve_stdio(bounds: Bounds) -> Result<()> {
    let gone = CancellationToken::new();
    let (working, mut idle) = mpsc::channel(1);
    let server = Server { tools: tools::all(), bounds, gone: gone.clone(), _working: working };
    let (input, output) = rmcp::transport::stdio_pipes();
    let input = UntilEnd { inner: input, gone: gone.clone() };
    let stop = CancellationToken::new();
    end_on_signals(gone.clone(), stop.clone())?;
    let service = match server.serve_with_ct((input, output), stop).await {
        Ok(service) => service,
        // Nobody said anything: that is no error.
        Err(_) if gone.is_cancelled() => return Ok(()),
        Err(e) => return Err(e).context("the client does not speak the protocol"),
    };
    service.waiting().await?;
    // Every call that still runs holds the server, and with it the other end.
    gone.cancel();
    let _ = idle.recv().await;
    Ok(())
}

/// SIGTERM and Ctrl-C end the calls that run, and then the server.
fn end_on_signals(gone: CancellationToken, stop: CancellationToken) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        gone.cancel();
        stop.cancel();
    });
    Ok(())
}

struct Server {
    tools: Vec<Tool>,
    bounds: Bounds,
    /// Cancelled when nobody waits for answers any more.
    gone: CancellationToken,
    /// Closes when the server and all its calls have ended.
    _working: mpsc::Sender<()>,
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("mad", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.tools.iter().map(Tool::described).collect()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(tool) = self.tools.iter().find(|t| t.name == request.name) else {
            let names: Vec<&str> = self.tools.iter().map(|t| t.name).collect();
            let message =
                format!("there is no tool {:?}; the tools are {}", request.name, names.join(", "));
            return Err(ErrorData::invalid_params(message, None));
        };
        let args = request.arguments.unwrap_or_default();
        let result = match tool.argv(args, &self.bounds) {
            Ok(argv) => child::answer(&argv, &self.bounds, &context, &self.gone)
                .await
                .map_err(|e| ErrorData::internal_error(format!("{e:#}"), None))?,
            // An answer, so that who called reads it and can do better.
            Err(e) => {
                let text = format!("error: invalid arguments of {}: {e:#}", tool.name);
                CallToolResult::error(vec![ContentBlock::text(text)])
            }
        };
        Ok(result.into())
    }
}

/// Standard input that tells when it ends: at once, and not when the calls that run are done.
struct UntilEnd<R> {
    inner: R,
    gone: CancellationToken,
}

impl<R: AsyncRead + Unpin> AsyncRead for UntilEnd<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        waiting: &mut Waiting<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(waiting, buffer);
        match &read {
            Poll::Ready(Ok(())) if buffer.filled().len() > before => {}
            Poll::Ready(_) => self.gone.cancel(),
            Poll::Pending => {}
        }
        read
    }
}
