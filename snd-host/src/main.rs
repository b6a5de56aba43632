//! The `snd-host` command. Run `snd-host --help` for its options.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use snd_host::{Args, CAPABILITIES, serve};
use tracing::error;
use tracing_subscriber::EnvFilter;

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
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(colours);
    // Otherwise `eprintln!` reports a failed write, and panics if standard error is closed.
    log.log_internal_errors(false).init();
    match serve(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error}");
            ExitCode::FAILURE
        }
    }
}
