//! The launcher: a process that starts the audio process, and starts it again.
//!
//! The card process cannot start programs, because its sandbox forbids that. So it starts a
//! launcher before it enters the sandbox. The launcher is this program with the subcommand
//! `launch-audio`. It reads one kind of message, and has neither guest memory nor audio.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use tracing::error;

use crate::wire::{Channel, Launch};

/// The subcommand that makes this program the launcher.
pub(crate) const SUBCOMMAND: &str = "launch-audio";

/// The name of the program of the audio process, which is beside this program.
const AUDIO_PROGRAM: &str = "snd-host-audio";

/// The card's end of the launcher.
#[derive(Debug)]
pub(crate) struct Launcher(Channel<Launch, Launch>);

impl Launcher {
    /// Starts the launcher, which will start the audio process with `args`.
    pub(crate) fn start(args: impl IntoIterator<Item = OsString>) -> io::Result<Self> {
        let (card, launcher) = Channel::pair()?;
        let mut command = Command::new(env::current_exe()?);
        command.arg(SUBCOMMAND).arg("--").args(args).stdin(launcher).stdout(Stdio::null()).spawn()?;
        Ok(Self(card))
    }

    /// Has the audio process ended, and another one started with `channel` as its standard input.
    pub(super) fn launch(&self, channel: OwnedFd) -> io::Result<()> {
        self.0.send_with_file(&Launch, channel.as_fd())
    }
}

/// Returns the path of the program of the audio process.
///
/// # Errors
///
/// Fails if the path of this program is not known.
pub fn audio_program() -> io::Result<PathBuf> {
    Ok(env::current_exe()?.with_file_name(AUDIO_PROGRAM))
}

/// Ignores SIGTERM and SIGINT, which a terminal or systemd sends to all processes. The process ends
/// with the card process instead.
///
/// # Errors
///
/// Fails if the signals cannot be handled.
pub fn end_with_card() -> io::Result<()> {
    for signal in [SIGTERM, SIGINT] {
        flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    Ok(())
}

/// Runs the launcher on standard input until the card process ends. Starts the audio process with
/// `args`.
///
/// # Errors
///
/// Fails if standard input is no channel to a card process.
pub fn launch(args: &[OsString]) -> io::Result<()> {
    end_with_card()?;
    let card = Channel::<Launch, Launch>::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut running: Option<Child> = None;
    while let Some(received) = card.receive()? {
        let (Some(Launch), Some(channel)) = (received.message, received.file) else { continue };
        end(running.take());
        running = start(args, channel.into());
    }
    end(running.take());
    Ok(())
}

/// Starts the audio process.
fn start(args: &[OsString], channel: OwnedFd) -> Option<Child> {
    let program = audio_program().and_then(|program| {
        let mut command = Command::new(&program);
        let started = command.args(args).stdin(channel).stdout(Stdio::null()).spawn();
        started.inspect_err(|error| {
            error!("cannot start {}: {error}; install it beside snd-host", program.display());
        })
    });
    program.ok()
}

/// Ends a process, whatever it does.
fn end(process: Option<Child>) {
    if let Some(mut process) = process {
        // Fails if the process has ended already.
        let _ = process.kill();
        let _ = process.wait();
    }
}
