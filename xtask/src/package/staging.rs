//! The files of a package, beside those in the crate's directory `dist`.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use xshell::{Shell, cmd};

use super::definition::Definition;
use super::source_date::SourceDate;
use super::{DIRECTORY, copyright, debian_changelog};
use crate::command::quietly;

/// Writes the files into the tree `DIRECTORY/NAME`, which replaces an older tree.
pub(super) fn fill(
    sh: &Shell,
    definition: &Definition,
    programs: &[PathBuf],
    date: &SourceDate,
) -> Result<()> {
    let name = &definition.name;
    let root = Path::new(DIRECTORY).join(name);
    match fs::remove_dir_all(&root) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    for program in programs {
        let file = program.file_name().context("a program has no name")?;
        // Users start only the program that is named for its crate.
        let directory =
            if file == OsStr::new(name) { "usr/bin".into() } else { format!("usr/libexec/{name}") };
        let directory = root.join(directory);
        fs::create_dir_all(&directory)?;
        fs::copy(program, directory.join(file))?;
    }
    let manual = cmd!(sh, "cargo run --quiet --locked --package manual -- {name} {root}");
    quietly(&format!("writing the manual of {name}"), manual)?;
    compress(sh, &root.join("usr/share/man/man1"))?;
    documents(sh, definition, &root.join("usr/share/doc").join(name), date)
}

/// Writes the copyright, the changelogs and the README.
fn documents(sh: &Shell, definition: &Definition, directory: &Path, date: &SourceDate) -> Result<()> {
    fs::create_dir_all(directory)?;
    let changelog = debian_changelog::text(definition, &date.in_changelog(sh)?);
    fs::write(directory.join("changelog.Debian"), changelog)?;
    fs::copy("CHANGELOG.md", directory.join("changelog"))?;
    fs::copy(Path::new(&definition.name).join("README.md"), directory.join("README.md"))?;
    fs::write(directory.join("third-party-notices"), copyright::notices(sh, &definition.name)?)?;
    compress(sh, directory)?;
    Ok(fs::write(directory.join("copyright"), copyright::text(&definition.name)?)?)
}

/// Compresses all files of a directory, without a date.
fn compress(sh: &Shell, directory: &Path) -> Result<()> {
    let files: Vec<PathBuf> =
        fs::read_dir(directory)?.map(|file| Ok(file?.path())).collect::<io::Result<_>>()?;
    let plain = files.iter().filter(|file| file.extension() != Some(OsStr::new("gz")));
    Ok(cmd!(sh, "gzip --best --no-name").args(plain).run()?)
}
