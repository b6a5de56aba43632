//! The command `isolation-host`.

use std::error::Error;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use isolation_host::args::{Args, Task};
use isolation_host::error_chain::ErrorChain;
use isolation_host::forward::Workers;
use isolation_host::host::{Host, Options, Sockets};
use isolation_host::log_format::LogFormat;
use isolation_host::sandbox;

fn main() -> ExitCode {
    let args = Args::parse();
    start_log(&args);
    let sandboxed = !args.no_sandbox;
    let outcome = match args.into_task() {
        Task::Print(text) => writeln!(io::stdout(), "{text}").map_err(Into::into),
        Task::Forward(options) => forward(options, sandboxed),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", ErrorChain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn start_log(args: &Args) {
    let log = tracing_subscriber::fmt()
        .with_max_level(args.log)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        // Without this a closed stderr would make the process panic.
        .log_internal_errors(false);
    match args.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

fn forward(mut options: Options, sandboxed: bool) -> Result<(), Box<dyn Error>> {
    let mut sockets = Sockets::open(&mut options)?;
    // Each thread enters the sandbox itself, and cannot start threads afterwards.
    let enter_sandbox = move || if sandboxed { sandbox::enter() } else { Ok(()) };
    let workers = Workers::start(options.threads, enter_sandbox)?;
    sockets.start_vdpa(move || if sandboxed { sandbox::enter_with_vdpa() } else { Ok(()) })?;
    enter_sandbox()?;
    Ok(Host::new(options, sockets, workers)?.run()?)
}
