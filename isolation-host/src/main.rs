//! The command.

use std::error::Error;
use std::process::ExitCode;

use clap::Parser as _;
use isolation_host::args::Args;
use isolation_host::host::{Doors, Host};
use isolation_host::sandbox;

fn main() -> ExitCode {
    let args = Args::parse();
    tracing_subscriber::fmt().with_max_level(args.log).with_writer(std::io::stderr).with_target(false).init();
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut said = error.to_string();
            let mut source = error.source();
            while let Some(cause) = source {
                said = format!("{said}: {cause}");
                source = cause.source();
            }
            tracing::error!("{said}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let sandboxed = !args.no_sandbox;
    let options = args.into_options();
    let doors = Doors::open(&options)?;
    if sandboxed {
        sandbox::enter()?;
    }
    Ok(Host::new(options, doors)?.run()?)
}
