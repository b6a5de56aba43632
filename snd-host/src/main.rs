//! The `snd-host` command. Run `snd-host --help` for its options.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use snd_host::{Args, CAPABILITIES, Command, Devices, LogLimit, ServeError, check, serve};
use tracing::error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

fn main() -> ExitCode {
    let args = Args::parse();
    if args.print_capabilities {
        return match writeln!(io::stdout(), "{CAPABILITIES}") {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let filter = EnvFilter::new(&args.log);
    let colours = io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(colours);
    // Otherwise `eprintln!` reports a failed write, and panics if standard error is closed.
    let lines = lines.log_internal_errors(false);
    tracing_subscriber::registry().with(lines).with(LogLimit::default()).with(filter).init();
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Executes the command. Returns whether it has succeeded.
fn run(args: &Args) -> Result<bool, ServeError> {
    match args.command {
        None => serve(args).map(|()| true),
        Some(Command::Check) => check(args, io::stdout()),
        Some(Command::Devices) => {
            write!(io::stdout(), "{}", Devices::find()?)?;
            Ok(true)
        }
    }
}
