//! The command: see `snd-host --help`.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::Parser;
use snd_host::{Args, CAPABILITIES, serve};
use tracing::error;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let args = Args::parse();
    if args.print_capabilities {
        println!("{CAPABILITIES}");
        return ExitCode::SUCCESS;
    }
    let filter = EnvFilter::new(&args.log);
    let colours = io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(colours);
    // If nobody listens any more, it would panic to say so.
    log.log_internal_errors(false).init();
    match serve(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error}");
            ExitCode::FAILURE
        }
    }
}
