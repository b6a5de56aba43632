//! Running commands in the open: each is printed before it runs.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

/// How many lines of a failed command's output are shown.
const TAIL_LINES: usize = 30;

/// A command from words, as one would type it.
pub(crate) fn command<'a>(words: impl IntoIterator<Item = &'a str>) -> Command {
    let mut words = words.into_iter();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words);
    command
}

/// `cargo` with these arguments.
pub(crate) fn cargo<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    command(["cargo"].into_iter().chain(arguments))
}

/// Runs a command that shows its own progress.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    print(command);
    let status = command.status().with_context(|| not_startable(command))?;
    if !status.success() {
        bail!("`{}` failed ({status})", shown(command));
    }
    Ok(())
}

/// Runs a command that shows its own progress, and gives each line of its standard output also
/// to `look`. Returns whether it succeeded.
pub(crate) fn watch(command: &mut Command, mut look: impl FnMut(&str)) -> Result<bool> {
    print(command);
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| not_startable(command))?;
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            let line = line.context("the output of a test is not UTF-8")?;
            println!("{line}");
            look(&line);
        }
    }
    Ok(child.wait()?.success())
}

/// Runs a command that talks too much: a progress line stands for its output, which is shown
/// if it fails.
pub(crate) fn quietly(doing: &str, command: &mut Command) -> Result<()> {
    print(command);
    let progress = progress(doing);
    let captured = captured(command);
    progress.finish_and_clear();
    let (success, output) = captured?;
    if !success {
        let lines: Vec<&str> = output.lines().collect();
        let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        eprintln!("{}", tail.join("\n"));
        bail!("{doing}: `{}` failed", shown(command));
    }
    Ok(())
}

/// Runs a command for what it prints.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| not_startable(command))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed: {}", shown(command), said.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` wrote no text", shown(command)))
}

/// Runs a command and returns whether it succeeded, and all that it wrote.
pub(crate) fn captured(command: &mut Command) -> Result<(bool, String)> {
    let (mut reader, writer) = std::io::pipe()?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()
        .with_context(|| not_startable(command))?;
    // The command still holds the pipe's other end; without this, reading never ends.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut output = Vec::new();
    reader.read_to_end(&mut output)?;
    let success = child.wait()?.success();
    Ok((success, String::from_utf8_lossy(&output).into_owned()))
}

/// Prints a command as one would type it.
pub(crate) fn print(command: &Command) {
    println!("$ {}", shown(command));
}

/// A line that shows that something is being done, and for how long.
pub(crate) fn progress(doing: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})");
    let progress = ProgressBar::new_spinner()
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
        .with_message(doing.to_owned());
    if progress.is_hidden() {
        // Not a terminal: one line must do.
        println!("… {doing}");
    }
    progress.enable_steady_tick(Duration::from_millis(100));
    progress
}

fn not_startable(command: &Command) -> String {
    format!("`{}` does not start; is it installed?", command.get_program().display())
}

fn shown(command: &Command) -> String {
    let variables = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={}", name.display(), value?.display())));
    let words = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| quoted(&word.to_string_lossy()));
    let directory = command.get_current_dir().map(|directory| format!("cd {} &&", directory.display()));
    let all: Vec<String> = directory.into_iter().chain(variables).chain(words).collect();
    all.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+./:,@%^".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_one_would_type_it() {
        let mut command = cargo(["test", "it's"]);
        command.env("A", "1").current_dir("b");
        assert_eq!(shown(&command), r"cd b && A=1 cargo test 'it'\''s'");
    }

    #[test]
    fn a_failed_command_is_named() {
        let failed = output(&mut command(["sh", "-c", "echo no >&2; false"]));
        let message = failed.map_err(|error| error.to_string());
        assert_eq!(message, Err("`sh -c 'echo no >&2; false'` failed: no".to_owned()));
    }

    #[test]
    fn output_and_errors_are_captured() -> Result<()> {
        let (success, output) = captured(&mut command(["sh", "-c", "echo a; echo b >&2; false"]))?;
        assert_eq!((success, output.as_str()), (false, "a\nb\n"));
        Ok(())
    }
}
