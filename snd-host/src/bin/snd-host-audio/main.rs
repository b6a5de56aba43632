//! The audio process of snd-host: plays and records through GStreamer.
//!
//! The card process starts this program, and passes it a socket as standard input. The process has
//! no guest memory: the frames of a take are in a ring that it shares with the card process. If it
//! ends or hangs, the card process has it replaced, and the takes go on in the next one.
//!
//! ```text
//!   card process                     main thread              a thread for each take
//!
//!   Open, with a ring ──socket──▶ service ──▶ Host::spawn ──▶ player ──▶ Sink   ──▶ GStreamer
//!   Wake              ──socket──▶ service ──▶ Wakeup ───────▶    │ ring
//!   frames, played    ──ring────────────────────────────────▶ PlaybackBuffer ──▶ Feeder
//!   progress          ◀─ring────────────────────────────────  player
//!   frames            ◀─ring──────────────────────────────── Tap ◀── Source ◀── GStreamer
//!   doorbell          ◀─eventfd───────────────────────────── Tap, from GStreamer's thread
//! ```
//!
//! Only the thread of a take opens, starts and closes a pipeline, and only that thread can wait for
//! one. With the subcommands `check` and `devices`, the program serves no card.

mod check;
mod descriptions;
mod devices;
mod error;
mod gstreamer;
mod host;
mod permit;
mod pipeline_config;
mod player;
mod probe;
mod recorder;
mod retry;
mod service;
mod short_form;
mod wakeup;

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use snd_host::{Args, Command, init_log};
use tracing::error;

use self::devices::Devices;

fn main() -> ExitCode {
    let args = Args::parse();
    init_log(&args.log);
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
fn run(args: &Args) -> Result<bool, Box<dyn Error>> {
    match &args.command {
        Some(Command::Check) => check::check(args, io::stdout()),
        Some(Command::Devices) => {
            write!(io::stdout(), "{}", Devices::find()?)?;
            Ok(true)
        }
        None => service::serve(args).map(|()| true),
        Some(Command::LaunchAudio { .. }) => Err("only snd-host starts the audio process".into()),
    }
}
