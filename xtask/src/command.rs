//! What xshell does not have: commands with a progress line, and commands whose output is watched.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use xshell::Cmd;

/// How many lines of a failed command's output are shown.
const TAIL_LINES: usize = 30;
/// The time without output after which a watched command is reported as running.
const SILENCE: Duration = Duration::from_secs(2);

/// Runs a command and passes each line of its standard output to `look`. Returns whether the
/// command succeeded.
pub(crate) fn watch(command: Cmd<'_>, look: impl FnMut(&str)) -> Result<bool> {
    eprintln!("$ {command}");
    let mut child = Command::from(command).stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().context("the command has no output")?;
    let (sender, lines) = mpsc::channel();
    let reader = thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // The receiver is gone only if this program fails.
            let _ = sender.send(line);
        }
    });
    show(&lines, look);
    drop(reader.join());
    Ok(child.wait()?.success())
}

/// Prints each line, and in a silence of 2 s, 6 s, 14 s, … how long the silence is.
fn show(lines: &Receiver<String>, mut look: impl FnMut(&str)) {
    let (mut silence, mut next) = (Duration::ZERO, SILENCE);
    loop {
        match lines.recv_timeout(next) {
            Ok(line) => {
                println!("{line}");
                look(&line);
                (silence, next) = (Duration::ZERO, SILENCE);
            }
            Err(RecvTimeoutError::Timeout) => {
                silence += next;
                next *= 2;
                println!("  … running, no output for {} s", silence.as_secs());
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Runs a command with a progress line in place of its output. Shows the end of the output if the
/// command fails.
pub(crate) fn quietly(doing: &str, command: Cmd<'_>) -> Result<()> {
    let name = command.to_string();
    let (success, output) = captured(doing, command)?;
    if !success {
        let lines: Vec<&str> = output.lines().collect();
        let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        eprintln!("{}", tail.join("\n"));
        bail!("{doing}: `{name}` failed; the end of its output is above");
    }
    Ok(())
}

/// Runs a command with a progress line. Returns whether the command succeeded, and its standard
/// output followed by its errors.
pub(crate) fn captured(doing: &str, command: Cmd<'_>) -> Result<(bool, String)> {
    eprintln!("$ {command}");
    let progress = progress(doing);
    let output = command.ignore_status().output();
    progress.finish_and_clear();
    let Output { status, stdout, stderr } = output?;
    Ok((status.success(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned()))
}

/// Shows what is being done and for how long, until the progress bar is finished.
pub(crate) fn progress(doing: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})");
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
    fn output_and_errors_are_captured() -> Result<()> {
        let (sh, script) = (Shell::new()?, "echo b >&2; echo a; false");
        assert_eq!(captured("test", cmd!(sh, "sh -c {script}"))?, (false, "a\nb\n".to_owned()));
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
    fn every_line_of_a_watched_command_is_seen() -> Result<()> {
        let (sh, script) = (Shell::new()?, "echo a; echo b; false");
        let mut seen = Vec::new();
        let success = watch(cmd!(sh, "sh -c {script}"), |line| seen.push(line.to_owned()))?;
        assert_eq!((success, seen), (false, vec!["a".to_owned(), "b".to_owned()]));
        Ok(())
    }
}
