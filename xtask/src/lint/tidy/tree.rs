//! The project's files and the roots of its crates.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use xshell::{Shell, cmd};

use super::rust::Rust;
use crate::lint::OWN_WORKSPACES;
use crate::workspace;

/// All text files that git knows or would add.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Paths from the project's root.
    pub(super) files: BTreeMap<String, Source>,
    /// The targets that Cargo builds.
    pub(super) targets: Vec<Target>,
}

/// A text file.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) text: String,
    /// The parts of a Rust file.
    pub(super) rust: Option<Rust>,
}

/// One target of a package.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) package: String,
    /// The file with the crate's root.
    pub(super) root: String,
}

impl Tree {
    /// Reads the tree in the current directory, which is the project's root.
    pub(super) fn of_project(sh: &Shell) -> Result<Self> {
        let mut tree = Self::default();
        for path in cmd!(sh, "git ls-files --cached --others --exclude-standard").read()?.lines() {
            // Git lists a deleted file until the deletion is staged. Binary files have no rules.
            if let Ok(text) = fs::read_to_string(path) {
                tree.add(path, text)?;
            }
        }
        for manifest in ["Cargo.toml"].into_iter().chain(OWN_WORKSPACES) {
            tree.targets.extend(targets(sh, manifest)?);
        }
        Ok(tree)
    }

    /// Returns a tree of one crate named `planted`, whose root is the first file.
    #[cfg(test)]
    pub(super) fn planted(files: &[(&str, &str)]) -> Result<Self> {
        let mut tree = Self::default();
        for (path, text) in files {
            tree.add(path, (*text).to_owned())?;
        }
        tree.targets = files.iter().take(1).map(|(root, _)| Target::new("planted", root)).collect();
        Ok(tree)
    }

    fn add(&mut self, path: &str, text: String) -> Result<()> {
        let rust = if path.ends_with(".rs") {
            Some(Rust::parse(&text).with_context(|| format!("{path} is not Rust"))?)
        } else {
            None
        };
        self.files.insert(path.to_owned(), Source { text, rust });
        Ok(())
    }

    /// Returns the Rust files.
    pub(super) fn rust(&self) -> impl Iterator<Item = (&str, &Source, &Rust)> {
        self.files.iter().filter_map(|(path, source)| Some((path.as_str(), source, source.rust.as_ref()?)))
    }

    /// Returns the Markdown files.
    pub(super) fn markdown(&self) -> impl Iterator<Item = (&str, &Source)> {
        let files = self.files.iter().map(|(path, source)| (path.as_str(), source));
        files.filter(|(path, _)| path.ends_with(".md"))
    }

    /// Returns whether a file or a directory exists.
    pub(super) fn has(&self, path: &str) -> bool {
        let directory = format!("{}/", path.trim_end_matches('/'));
        path.is_empty()
            || self.files.contains_key(path)
            || self
                .files
                .range(directory.clone()..)
                .next()
                .is_some_and(|(next, _)| next.starts_with(&directory))
    }

    /// Returns the names of the packages.
    pub(super) fn packages(&self) -> BTreeSet<&str> {
        self.targets.iter().map(|target| target.package.as_str()).collect()
    }
}

impl Target {
    fn new(package: &str, root: &str) -> Self {
        Self { package: package.to_owned(), root: root.to_owned() }
    }
}

/// Returns the targets of a workspace's packages.
fn targets(sh: &Shell, manifest: &str) -> Result<Vec<Target>> {
    let command = workspace::without_dependencies(sh).args(["--manifest-path", manifest]);
    let here = fs::canonicalize(".")?;
    let mut targets = Vec::new();
    for package in workspace::describe(command)?.packages {
        for built in package.targets {
            // A root that is a link to another crate's file is a file of this crate.
            let source = built.src_path.as_std_path();
            let directory = fs::canonicalize(source.parent().unwrap_or(Path::new(".")))?;
            let root = directory.join(source.file_name().unwrap_or_default());
            let root = root.strip_prefix(&here)?.to_string_lossy();
            targets.push(Target::new(&package.name, &root));
        }
    }
    Ok(targets)
}

/// Returns a path relative to a directory, with `.` and `..` resolved.
pub(super) fn joined(directory: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in directory.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Returns the directory of a file.
pub(super) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}
