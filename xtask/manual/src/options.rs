//! The options of programs in the commands of documents.

use std::collections::BTreeSet;

use clap::Command;

/// Returns the options with which a text calls a program, such as `--socket`.
///
/// A call begins with the program's name, and ends with the line or with a character that ends a
/// command of a shell. A backslash at the end of a line continues the call.
pub(crate) fn called<'t>(text: &'t str, program: &str) -> BTreeSet<&'t str> {
    let mut options = BTreeSet::new();
    let mut within = false;
    for line in text.lines() {
        for word in line.split_whitespace() {
            let name = word.rsplit('/').next().unwrap_or(word);
            if word.starts_with(['&', '|', ';', '#', '>', '<']) {
                within = false;
            } else if name == program {
                within = true;
            } else if within && word.starts_with("--") && word.len() > "--".len() {
                options.insert(option(word));
            }
        }
        within &= line.ends_with('\\');
    }
    options
}

/// Returns the option of a word such as `--socket=PATH`, `--socket`; or `--socket`.
fn option(word: &str) -> &str {
    let end = word.find(|c: char| c != '-' && !c.is_ascii_alphanumeric());
    &word[..end.unwrap_or(word.len())]
}

/// Returns the options of a program and of its commands.
pub(crate) fn defined(command: &mut Command) -> BTreeSet<String> {
    command.build();
    let own = command.get_arguments().filter_map(|argument| Some(format!("--{}", argument.get_long()?)));
    let mut options: BTreeSet<String> = own.collect();
    command.get_subcommands_mut().for_each(|command| options.extend(defined(command)));
    options
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use anyhow::Result;

    use super::*;
    use crate::command_line;

    #[test]
    fn the_options_of_a_call_are_found() {
        let text =
            "/usr/bin/host --a x \\\n  --b=y & other --c\nother --d\nhost --e # --f\n`host --g` host, --h\n";
        let found: Vec<_> = called(text, "host").into_iter().collect();
        assert_eq!(found, ["--a", "--b", "--e"]);
    }

    /// Returns the documents that call the programs.
    fn documents() -> Result<Vec<PathBuf>> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut documents = vec![root.join("README.md")];
        for directory in ["docs", "snd-host", "isolation-host", "snd-host/dist", "isolation-host/dist"] {
            for entry in fs::read_dir(root.join(directory))? {
                let path = entry?.path();
                documents.extend(path.is_file().then_some(path));
            }
        }
        Ok(documents)
    }

    #[test]
    fn each_option_in_a_command_of_a_document_exists() -> Result<()> {
        let mut calls = 0;
        for program in ["isolation-host", "snd-host"] {
            let defined = defined(&mut command_line(program)?);
            for document in documents()? {
                let text = fs::read_to_string(&document)?;
                for option in called(&text, program) {
                    assert!(defined.contains(option), "{}: {program} has no {option}", document.display());
                    calls += 1;
                }
            }
        }
        assert!(calls > 20, "only {calls} options were found");
        Ok(())
    }
}
