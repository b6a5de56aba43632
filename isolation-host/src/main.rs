//! The command.

use std::error::Error;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use isolation_host::args::{Args, Task};
use isolation_host::causes::WithCauses;
use isolation_host::host::{Doors, Host, Options, Workers};
use isolation_host::sandbox;

fn main() -> ExitCode {
    let args = Args::parse();
    tracing_subscriber::fmt()
        .with_max_level(args.log)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    let sandboxed = !args.no_sandbox;
    let outcome = match args.into_task() {
        Task::Print(text) => {
            println!("{text}");
            Ok(())
        }
        Task::Forward(options) => forward(options, sandboxed),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", WithCauses(&*error));
            ExitCode::FAILURE
        }
    }
}

fn forward(options: Options, sandboxed: bool) -> Result<(), Box<dyn Error>> {
    let doors = Doors::open(&options)?;
    // Each thread gives up its own privileges: what starts threads is given up, too.
    let give_up = move || if sandboxed { sandbox::enter() } else { Ok(()) };
    let workers = Workers::start(options.threads, give_up)?;
    give_up()?;
    Ok(Host::new(options, doors, workers)?.run()?)
}
