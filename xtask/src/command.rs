//! Kinds of commands that xshell does not have: commands with a progress line, and commands whose
//! output is watched.

use std::io::{self, BufRead as _, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use xshell::Cmd;

use crate::interrupt;

/// How many lines of a failed command's output are shown.
const TAIL_LINES: usize = 30;
/// The time after which a command without output is reported as running.
const SILENCE: Duration = Duration::from_secs(2);
/// Messages of apt, dpkg, cargo and compilers when a file system is full.
const FULL_DISK: [&str; 2] = ["No space left on device", "enough free space"];

/// Runs a command and passes each line of its standard output to `look`. Returns whether the
/// command succeeded.
pub(crate) fn watch(command: Cmd<'_>, mut look: impl FnMut(&str)) -> Result<bool> {
    eprintln!("$ {command}");
    let mut child = Command::from(command).stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().context("the command has no output")?;
    let mut silent_since = Instant::now();
    for_each_event(&lines_of(output), |event| match event {
        Event::Line(line) => {
            println!("{line}");
            look(line);
            silent_since = Instant::now();
        }
        Event::Silence => println!("  … running, no output for {} s", silent_since.elapsed().as_secs()),
    });
    let status = child.wait();
    interrupt::wait_if_interrupted();
    Ok(status?.success())
}

/// Runs a command with a progress line in place of its output. Shows the end of the output if the
/// command fails.
pub(crate) fn quietly(doing: &str, command: Cmd<'_>) -> Result<()> {
    let name = command.to_string();
    let (success, output) = captured(doing, command)?;
    if success {
        return Ok(());
    }
    let lines: Vec<&str> = output.lines().collect();
    let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    eprintln!("{}", tail.join("\n"));
    if FULL_DISK.iter().any(|message| output.contains(message)) {
        bail!("{doing}: a disk is full; free space (`df -h` shows where), then run the task again");
    }
    bail!("{doing}: `{name}` failed; the end of its output is above");
}

/// Runs a command with a progress line. Returns whether the command succeeded, and its standard
/// output and errors, interleaved.
pub(crate) fn captured(doing: &str, command: Cmd<'_>) -> Result<(bool, String)> {
    eprintln!("$ {command}");
    let (reader, writer) = io::pipe()?;
    let mut command = Command::from(command);
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn()?;
    // The command has copies of the writing end. While these exist, the output does not end.
    drop(command);
    let (progress, start) = (progress(doing), Instant::now());
    let (mut output, mut state) = (String::new(), doing.to_owned());
    for_each_event(&lines_of(reader), |event| match event {
        Event::Line(line) => {
            output.push_str(line);
            output.push('\n');
            // A program that redraws its line separates the states with carriage returns.
            let last = line.trim_end().rsplit('\r').next().unwrap_or_default();
            state = format!("{doing}: {last}");
            progress.set_message(state.clone());
        }
        // Without a terminal there is no progress line.
        Event::Silence if progress.is_hidden() => println!("  … {} s, {state}", start.elapsed().as_secs()),
        Event::Silence => {}
    });
    let status = child.wait();
    progress.finish_and_clear();
    interrupt::wait_if_interrupted();
    Ok((status?.success(), output))
}

/// An event of a running command.
enum Event<'l> {
    /// The command has written a line.
    Line(&'l str),
    /// The command still runs.
    Silence,
}

/// Passes each line to `on`, and reports silences of 2 s, 6 s, 14 s, …
fn for_each_event(lines: &Receiver<String>, mut on: impl FnMut(Event<'_>)) {
    let mut next = SILENCE;
    loop {
        match lines.recv_timeout(next) {
            Ok(line) => {
                on(Event::Line(&line));
                next = SILENCE;
            }
            Err(RecvTimeoutError::Timeout) => {
                on(Event::Silence);
                next *= 2;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Reads lines in a thread, so that the receiver can wait with a timeout.
fn lines_of(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            // The receiver is gone only if this program fails.
            let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
        }
    });
    lines
}

/// Shows the current activity and its duration, until the progress bar is finished.
pub(crate) fn progress(doing: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}");
    let progress = ProgressBar::new_spinner()
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
        .with_message(doing.to_owned());
    if progress.is_hidden() {
        // Without a terminal there is no spinner.
        println!("… {doing}");
    }
    progress.enable_steady_tick(Duration::from_millis(100));
    progress
}

#[cfg(test)]
mod tests {
    use xshell::{Shell, cmd};

    use super::*;

    #[test]
    fn output_and_errors_are_captured_in_their_order() -> Result<()> {
        let (sh, script) = (Shell::new()?, "echo b >&2; echo a; false");
        assert_eq!(captured("test", cmd!(sh, "sh -c {script}"))?, (false, "b\na\n".to_owned()));
        Ok(())
    }

    #[test]
    fn a_failed_command_is_named() -> Result<()> {
        let sh = Shell::new()?;
        let message = quietly("testing", cmd!(sh, "false")).map_err(|error| error.to_string());
        assert_eq!(message, Err("testing: `false` failed; the end of its output is above".to_owned()));
        Ok(())
    }

    #[test]
    fn a_full_disk_is_named() -> Result<()> {
        let (sh, script) =
            (Shell::new()?, "echo 'E: Write error - write (28: No space left on device)'; false");
        let message = quietly("testing", cmd!(sh, "sh -c {script}")).map_err(|error| error.to_string());
        let expected =
            "testing: a disk is full; free space (`df -h` shows where), then run the task again".to_owned();
        assert_eq!(message, Err(expected));
        Ok(())
    }

    #[test]
    fn every_line_of_a_watched_command_is_seen() -> Result<()> {
        let (sh, script) = (Shell::new()?, "echo a; echo b; false");
        let mut seen = Vec::new();
        let success = watch(cmd!(sh, "sh -c {script}"), |line| seen.push(line.to_owned()))?;
        assert_eq!((success, seen), (false, vec!["a".to_owned(), "b".to_owned()]));
        Ok(())
    }
}
