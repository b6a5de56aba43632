//! The copyright of a package, and the notices of the crates that are linked into its programs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use xshell::{Shell, cmd};

use crate::workspace;

/// The file with the text of the project's MIT licence, and with the holder of the copyright.
const MIT: &str = "LICENSE-MIT";
/// The beginnings of the names of files with licences and notices.
const NOTICES: [&str; 6] = ["license", "licence", "copying", "copyright", "notice", "unlicense"];

/// Returns the text of Debian's machine-readable copyright file.
pub(super) fn text(name: &str) -> Result<String> {
    let mit = fs::read_to_string(MIT)?;
    let holder = mit.lines().find_map(|line| line.strip_prefix("Copyright (c) "));
    let holder = holder.with_context(|| format!("{MIT} names no holder of the copyright"))?;
    let (_, terms) = mit.split_once(holder).context("the holder is in the text")?;
    Ok(format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: {name}
Comment: third-party-notices.gz has the licences of the crates that are linked into the programs.

Files: *
Copyright: {holder}
License: Expat or Apache-2.0

License: Expat
{}
License: Apache-2.0
 On Debian systems, /usr/share/common-licenses/Apache-2.0 has the text of this licence.
",
        indented(terms.trim())
    ))
}

/// Indents a text as a field of a Debian file.
fn indented(text: &str) -> String {
    let lines =
        text.lines().map(|line| if line.trim().is_empty() { " .\n".into() } else { format!(" {line}\n") });
    lines.collect()
}

/// Returns the name, version, licence and notices of each crate from a registry that is linked into
/// a crate's programs.
pub(super) fn notices(sh: &Shell, name: &str) -> Result<String> {
    let tree = cmd!(sh, "cargo tree --locked --package {name} --edges normal --prefix none --format");
    let linked: BTreeSet<String> = tree.arg("{p}").read()?.lines().map(crate_name).collect();
    let mut crates = BTreeMap::new();
    for package in workspace::describe(workspace::with_dependencies(sh))?.packages {
        let title = format!("{} v{}", package.name, package.version);
        if linked.contains(&title) && package.source.is_some() {
            let license = package.license.unwrap_or_default();
            crates.insert(format!("{title}: {license}"), files(package.manifest_path.as_std_path())?);
        }
    }
    Ok(joined(&crates))
}

/// Returns "NAME vVERSION" of a line "NAME vVERSION (…)".
fn crate_name(line: &str) -> String {
    line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

/// Returns the texts of the licences and notices beside a manifest.
fn files(manifest: &Path) -> Result<BTreeSet<String>> {
    let directory = manifest.parent().context("a manifest is in a directory")?;
    let mut texts = BTreeSet::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_lowercase();
        if NOTICES.iter().any(|beginning| name.starts_with(beginning)) && entry.path().is_file() {
            texts.insert(String::from_utf8_lossy(&fs::read(entry.path())?).trim().to_owned());
        }
    }
    Ok(texts)
}

/// Joins the notices of all crates. A text that several crates have is written once.
fn joined(crates: &BTreeMap<String, BTreeSet<String>>) -> String {
    let mut owners: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut output = "Crates that are linked into the programs, with their licences:\n\n".to_owned();
    for (title, texts) in crates {
        let _ = writeln!(output, "{title}");
        texts.iter().for_each(|text| owners.entry(text).or_default().push(title));
    }
    for (text, titles) in owners {
        let titles: Vec<&str> = titles.iter().filter_map(|title| title.split(':').next()).collect();
        let _ = write!(output, "\n---- {}\n\n{text}\n", titles.join(", "));
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_licence_is_indented_as_a_field() {
        assert_eq!(indented("a\n\nb"), " a\n .\n b\n");
    }

    #[test]
    fn a_text_of_several_crates_is_written_once() {
        let texts = |text: &str| BTreeSet::from([text.to_owned()]);
        let crates = [("a v1: MIT", "same"), ("b v2: MIT", "same"), ("c v3: ISC", "other")];
        let crates = crates.map(|(title, text)| (title.to_owned(), texts(text))).into();
        let output = joined(&crates);
        assert!(output.ends_with("\n---- c v3\n\nother\n\n---- a v1, b v2\n\nsame\n"), "{output}");
        assert_eq!(crate_name("a v1.0.0 (/path)"), "a v1.0.0");
    }
}
