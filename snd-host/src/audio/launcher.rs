//! The launcher: a process that starts the audio process, and starts it again.
//!
//! The card process cannot start programs, because its sandbox forbids that. So it starts a
//! launcher before it enters the sandbox. The launcher is this program with the subcommand
//! `launch-audio`. It reads one kind of message, and has neither guest memory nor audio.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use tracing::error;

use crate::wire::{Channel, Launch};

/// The subcommand that makes this program the launcher.
pub(crate) const SUBCOMMAND: &str = "launch-audio";

/// Where the program of the audio process can be, seen from the directory of this program: beside
/// it, as cargo builds it, or where packages install programs that users do not start.
const AUDIO_PROGRAMS: [&str; 2] = ["snd-host-audio", "../libexec/snd-host/snd-host-audio"];

/// The card's end of the launcher.
#[derive(Debug)]
pub(crate) struct Launcher(Channel<Launch, Launch>);

impl Launcher {
    /// Starts the launcher, which logs what `log` selects, and will start the audio process with
    /// `args`.
    pub(crate) fn start(log: &str, args: impl IntoIterator<Item = OsString>) -> io::Result<Self> {
        let (card, launcher) = Channel::pair()?;
        let mut command = Command::new(env::current_exe()?);
        command
            .args([SUBCOMMAND, "--log", log, "--"])
            .args(args)
            .stdin(launcher)
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self(card))
    }

    /// Creates the card's end of a launcher that a test plays.
    #[cfg(test)]
    pub(super) const fn new(card: Channel<Launch, Launch>) -> Self {
        Self(card)
    }

    /// Has the audio process ended, and another one started with `channel` as its standard input.
    pub(super) fn launch(&self, channel: OwnedFd) -> io::Result<()> {
        self.0.send_with_file(&Launch, channel.as_fd())
    }
}

impl AsFd for Launcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Returns the path of the program of the audio process.
///
/// # Errors
///
/// Fails if the path of this program is not known.
pub fn audio_program() -> io::Result<PathBuf> {
    Ok(audio_program_of(&env::current_exe()?))
}

/// Returns the first path that exists. If none does, a message has to name the path beside `card`.
fn audio_program_of(card: &Path) -> PathBuf {
    let paths = AUDIO_PROGRAMS.map(|path| card.with_file_name(path));
    let found = paths.iter().find(|path| path.exists());
    found.unwrap_or(&paths[0]).clone()
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_audio_program_is_beside_the_card_or_below_libexec() {
        let root = tempfile::tempdir().unwrap();
        let card = root.path().join("bin/snd-host");
        let [beside, installed] = AUDIO_PROGRAMS.map(|path| card.with_file_name(path));
        fs::create_dir_all(card.parent().unwrap()).unwrap();
        assert_eq!(audio_program_of(&card), beside);
        fs::create_dir_all(root.path().join("libexec/snd-host")).unwrap();
        fs::write(&installed, "").unwrap();
        assert_eq!(audio_program_of(&card), installed);
        fs::write(&beside, "").unwrap();
        assert_eq!(audio_program_of(&card), beside);
    }
}
