//! Writes the man pages and shell completions of a program into the file tree of its package.
//!
//! They are made from the definition of the command line. `cargo xtask package` runs this program:
//! xtask itself cannot link snd-host, because xtask installs GStreamer's development packages.

#[cfg(test)]
mod options;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::{Command, CommandFactory as _, Parser};
use clap_complete::{Shell, generate};

/// The directory of man pages in a package, and the directory and the file name of each shell's
/// completions. `{}` stands for the name of the program.
const MAN: &str = "usr/share/man/man1";
const COMPLETIONS: [(Shell, &str); 3] = [
    (Shell::Bash, "usr/share/bash-completion/completions/{}"),
    (Shell::Zsh, "usr/share/zsh/vendor-completions/_{}"),
    (Shell::Fish, "usr/share/fish/vendor_completions.d/{}.fish"),
];

/// Writes the man pages and shell completions of a program.
#[derive(Debug, Parser)]
struct Args {
    /// The name of the program.
    program: String,
    /// The root of the package's file tree.
    root: PathBuf,
}

fn main() -> Result<()> {
    let Args { program, root } = Args::parse();
    write_pages(command_line(&program)?, &root)?;
    write_completions(command_line(&program)?, &program, &root)
}

/// Returns the definition of a program's command line.
fn command_line(program: &str) -> Result<Command> {
    let command = match program {
        "isolation-host" => isolation_host::args::Args::command(),
        "snd-host" => snd_host::Args::command(),
        _ => bail!("the command line of {program} is unknown; add it to xtask/manual/src/main.rs"),
    };
    // The commit is not a part of a manual.
    Ok(command.long_version(None))
}

fn write_pages(command: Command, root: &Path) -> Result<()> {
    let directory = root.join(MAN);
    fs::create_dir_all(&directory)?;
    clap_mangen::generate_to(command, &directory)?;
    for page in fs::read_dir(directory)? {
        let page = page?.path();
        fs::write(&page, with_examples(&fs::read_to_string(&page)?))?;
    }
    Ok(())
}

/// Gives the examples of a man page a heading, and keeps the lines of their commands apart.
///
/// clap_mangen writes the text after the options as paragraphs of a section "EXTRA".
fn with_examples(page: &str) -> String {
    let (mut within, mut verbatim) = (false, false);
    let mut output = String::new();
    for line in page.lines() {
        if line.starts_with(".SH") {
            within = line == ".SH EXTRA";
        }
        let is_command = within && line.starts_with(' ');
        if is_command != verbatim {
            output.push_str(if is_command { ".nf\n" } else { ".fi\n" });
            verbatim = is_command;
        }
        output.push_str(if line == ".SH EXTRA" { ".SH EXAMPLES" } else { line });
        output.push('\n');
    }
    output
}

fn write_completions(mut command: Command, program: &str, root: &Path) -> Result<()> {
    for (shell, path) in COMPLETIONS {
        let path = root.join(path.replace("{}", program));
        fs::create_dir_all(path.parent().unwrap_or(root))?;
        generate(shell, &mut command, program, &mut File::create(path)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes the files of a program, and returns the text of one of them.
    fn written(program: &str, file: &str) -> Result<String> {
        let root = tempfile::tempdir()?;
        write_pages(command_line(program)?, root.path())?;
        write_completions(command_line(program)?, program, root.path())?;
        Ok(fs::read_to_string(root.path().join(file))?)
    }

    #[test]
    fn each_page_and_completion_has_the_options() -> Result<()> {
        for (program, option) in [("isolation-host", "device-socket"), ("snd-host", "sink")] {
            // In a man page, a backslash precedes each hyphen.
            let page = written(program, &format!("{MAN}/{program}.1"))?;
            assert!(page.contains(&format!("\\-\\-{}", option.replace('-', "\\-"))), "{page}");
            for (shell, path) in COMPLETIONS {
                let text = written(program, &path.replace("{}", program))?;
                assert!(text.contains(option), "{shell}: {text}");
            }
        }
        Ok(())
    }

    #[test]
    fn each_command_of_snd_host_has_a_page() -> Result<()> {
        for command in ["check", "devices"] {
            let page = written("snd-host", &format!("{MAN}/snd-host-{command}.1"))?;
            assert!(page.contains(".SH DESCRIPTION"), "{page}");
        }
        Ok(())
    }

    #[test]
    fn the_lines_of_a_command_are_not_filled() {
        let page = ".SH EXTRA\nText:\n\n  a \\\n   b\n\nText\n.SH VERSION\n 1\n";
        let expected = ".SH EXAMPLES\nText:\n\n.nf\n  a \\\n   b\n.fi\n\nText\n.SH VERSION\n 1\n";
        assert_eq!(with_examples(page), expected);
    }

    #[test]
    fn an_unknown_program_is_named() {
        let error = command_line("other").map_err(|error| error.to_string());
        assert!(error.is_err_and(|text| text.contains("other")));
    }
}
