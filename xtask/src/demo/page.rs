//! The page that shows the pictures, plays the sound and has the numbers of all runs.

use std::path::Path;

use anyhow::{Context as _, Result};
use end_to_end::check::Report;
use end_to_end::command_line::CommandLine;
use end_to_end::duplex::{Comparison, Duplex};
use end_to_end::memory::GUEST;
use end_to_end::visible::Visible;
use indicatif::HumanCount;
use minijinja::value::Serde;
use minijinja::{Environment, context};
use serde::Serialize;

/// The template. Values are escaped, because the name ends with `.html`.
const TEMPLATE: (&str, &str) = ("page.html", include_str!("page.html"));

/// What the page says of a run.
#[derive(Debug, Serialize)]
pub(super) struct Run {
    title: &'static str,
    what: &'static str,
    ways: [Way; 2],
    commands: Vec<String>,
    #[serde(skip)]
    memory: Vec<Memory>,
}

/// One direction of a run. Files are named relative to the page.
#[derive(Debug, Serialize)]
struct Way {
    name: &'static str,
    picture: String,
    sent: String,
    received: String,
    verdict: String,
    expected: String,
    in_order: String,
    lost: u32,
    repeated: u32,
    misplaced: u32,
    foreign: u32,
}

/// A memory file that snd-host can read.
#[derive(Debug, Serialize)]
struct Memory {
    title: &'static str,
    name: String,
    mebibytes: usize,
    pages: String,
    secrets: u32,
    in_guest: u32,
}

impl Run {
    /// Takes what a run has shown. `pictures` are those of what was played and recorded.
    pub(super) fn new(
        title: &'static str,
        what: &'static str,
        run: &Duplex,
        pictures: [&Path; 2],
    ) -> Result<Self> {
        let [played, recorded] = pictures;
        let guest = run.visible.qemu.iter().filter(|memory| memory.name == GUEST);
        let in_guest = guest.map(Visible::secrets).sum();
        let memory = run.visible.device.iter().map(|memory| Memory {
            title,
            name: memory.name.clone(),
            mebibytes: memory.mebibytes.len(),
            pages: HumanCount(memory.pages().into()).to_string(),
            secrets: memory.secrets(),
            in_guest,
        });
        Ok(Self {
            title,
            what,
            ways: [
                Way::new("guest to host", &run.played, played)?,
                Way::new("host to guest", &run.recorded, recorded)?,
            ],
            commands: run.by_hand.iter().map(typed).collect::<Result<_>>()?,
            memory: memory.collect(),
        })
    }
}

impl Way {
    fn new(name: &'static str, comparison: &Comparison, picture: &Path) -> Result<Self> {
        let Report { expected, in_order, lost, repeated, misplaced, foreign, .. } = comparison.report;
        Ok(Self {
            name,
            picture: file_name(picture)?,
            sent: file_name(&comparison.sent)?,
            received: file_name(&comparison.received)?,
            verdict: comparison.report.to_string(),
            expected: HumanCount(expected.into()).to_string(),
            in_order: HumanCount(in_order.into()).to_string(),
            lost,
            repeated,
            misplaced,
            foreign,
        })
    }
}

fn file_name(path: &Path) -> Result<String> {
    let name = path.file_name().with_context(|| format!("{} has no name", path.display()))?;
    Ok(name.to_string_lossy().into_owned())
}

/// Returns a command as typed in the project's directory.
fn typed(command: &CommandLine) -> Result<String> {
    let words = [&command.program].into_iter().chain(&command.arguments);
    let words: Vec<_> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let line = shlex::try_join(words.iter().map(String::as_str))?;
    let here = format!("{}/", std::env::current_dir()?.display());
    Ok(line.replace(&here, ""))
}

/// Returns the page.
pub(super) fn render(
    runs: &[Run],
    memory_picture: &Path,
    (kernel, qemu, seconds): (&str, &str, u8),
    exact: bool,
) -> Result<String> {
    let mut templates = Environment::new();
    templates.add_template(TEMPLATE.0, TEMPLATE.1)?;
    let rows: Vec<&Memory> = runs.iter().flat_map(|run| &run.memory).collect();
    let memory = context! {
        picture => file_name(memory_picture)?,
        alt => "the guest's memory, and which parts of it snd-host can read, without and with isolation-host",
        rows => Serde(&rows),
    };
    let page = context! { runs => Serde(runs), memory, kernel, qemu, seconds, exact };
    Ok(templates.get_template(TEMPLATE.0)?.render(page)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_quoted_and_names_files_of_the_project_relatively() -> Result<()> {
        let sink = "audio/x-raw ! filesink location=\"a b\"".into();
        let program = std::env::current_dir()?.join("target/release/snd-host").into();
        let typed = typed(&CommandLine { program, arguments: vec!["--sink".into(), sink] })?;
        assert_eq!(typed, "target/release/snd-host --sink 'audio/x-raw ! filesink location=\"a b\"'");
        Ok(())
    }

    #[test]
    fn a_page_escapes_what_it_shows() -> Result<()> {
        let page = render(&[], Path::new("memory.svg"), ("6.12<b>", "10.0", 5), true)?;
        assert!(page.contains("6.12&lt;b&gt;") && !page.contains("<b>"), "{page}");
        Ok(())
    }
}
