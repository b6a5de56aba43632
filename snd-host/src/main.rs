//! The `snd-host` command. Run `snd-host --help` for its options.

use std::env;
use std::error::Error;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command as Program, ExitCode};

use clap::Parser as _;
use snd_host::{Args, CAPABILITIES, Command, audio_program, init_log, launch, serve};
use tracing::error;

fn main() -> ExitCode {
    let args = Args::parse();
    if args.print_capabilities {
        return match writeln!(io::stdout(), "{CAPABILITIES}") {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    init_log(&args.log);
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    match &args.command {
        None => Ok(serve(args)?),
        Some(Command::LaunchAudio { args }) => Ok(launch(args)?),
        // Commands that need GStreamer.
        Some(Command::Check | Command::Devices) => {
            let program = audio_program()?;
            let error = Program::new(&program).args(env::args_os().skip(1)).exec();
            Err(format!("cannot start {}: {error}; install it beside snd-host", program.display()).into())
        }
    }
}
