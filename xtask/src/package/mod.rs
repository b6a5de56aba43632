//! `cargo xtask package`: Debian and RPM packages of the hosts.

mod bare_system;
mod copyright;
mod debian_changelog;
mod definition;
mod dependencies;
mod front_end;
mod installed;
mod installed_rpms;
mod package_tools;
mod programs;
mod source_date;
mod staging;
mod unit;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use xshell::{Shell, cmd};

use self::bare_system::BareSystem;
use self::definition::Definition;
use self::source_date::SourceDate;
use crate::command::quietly;
use crate::setup;
use crate::stages::Stages;

/// The packages, each named for its crate.
const PACKAGES: [&str; 2] = ["snd-host", "isolation-host"];
/// The directory of the packages and of the files that they are made of. The assets in each
/// package's `Cargo.toml` name the same directory.
const DIRECTORY: &str = "target/package-files";

/// Make packages.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Then install, use and purge the Debian packages in a bare Debian below target, install and
    /// remove the RPM packages there, and lint all packages. Needs root.
    #[arg(long)]
    pub(crate) test: bool,
}

/// The packages of one crate, in both formats.
#[derive(Debug)]
struct Packages {
    name: String,
    deb: PathBuf,
    rpm: PathBuf,
}

/// Makes the packages, and tests them if that is asked for.
pub(crate) fn run(sh: &Shell, options: &Options) -> Result<()> {
    let mut stages = Stages::default();
    let mut made = Vec::new();
    stages.run("set-up", || setup::for_packages(sh))?;
    stages.run("tools", || package_tools::install(sh, &package_tools::TOOLS))?;
    let _path = sh.push_env("PATH", package_tools::search_path()?);
    stages.run("licences and advisories", || dependencies::check(sh))?;
    stages.run("packages", || {
        made = make(sh)?;
        Ok(())
    })?;
    if options.test {
        stages.run("bare system", || {
            let system = BareSystem::copy(sh)?;
            installed::test(&system, &made)?;
            installed_rpms::test(&system, &made)
        })?;
    }
    print!("{stages}");
    Ok(())
}

/// Checks the dependencies of the workspace by `deny.toml`. The tool is installed below target.
pub(crate) fn check_dependencies(sh: &Shell) -> Result<()> {
    package_tools::install(sh, &[package_tools::CARGO_DENY])?;
    let _path = sh.push_env("PATH", package_tools::search_path()?);
    dependencies::check(sh)
}

/// Makes all packages, and lists what is in them.
fn make(sh: &Shell) -> Result<Vec<Packages>> {
    let date = SourceDate::find(sh)?;
    let _date = sh.push_env(source_date::VARIABLE, date.seconds());
    let mut made = Vec::new();
    for definition in Definition::read(sh, &PACKAGES)? {
        let programs = programs::build(sh, &definition)?;
        staging::fill(sh, &definition, &programs, &date)?;
        let name = definition.name;
        let packages = Packages { deb: deb(sh, &name)?, rpm: rpm(sh, &name)?, name };
        list(sh, &packages)?;
        made.push(packages);
    }
    Ok(made)
}

fn deb(sh: &Shell, name: &str) -> Result<PathBuf> {
    remove_old(name, "deb")?;
    let make = cmd!(sh, "cargo deb --no-build --locked --package {name} --output {DIRECTORY}");
    quietly(&format!("packing {name} for Debian"), make)?;
    find(name, "deb")?.pop().context("cargo-deb has made no package")
}

fn rpm(sh: &Shell, name: &str) -> Result<PathBuf> {
    remove_old(name, "rpm")?;
    // The builtin search also finds the libraries of libraries, whose names differ on Fedora.
    let make = cmd!(sh, "cargo generate-rpm --package {name} --auto-req find-requires --output {DIRECTORY}");
    quietly(&format!("packing {name} as RPM"), make)?;
    find(name, "rpm")?.pop().context("cargo-generate-rpm has made no package")
}

/// Removes packages of an earlier run. Their names have a version.
fn remove_old(name: &str, kind: &str) -> Result<()> {
    Ok(find(name, kind)?.iter().try_for_each(fs::remove_file)?)
}

/// Returns the packages with this name.
fn find(name: &str, kind: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(DIRECTORY)? {
        let path = entry?.path();
        let is_named =
            path.file_name().is_some_and(|file| file.as_encoded_bytes().starts_with(name.as_bytes()));
        if is_named && path.extension() == Some(OsStr::new(kind)) {
            found.push(path);
        }
    }
    Ok(found)
}

/// Prints the files and the dependencies of a package.
fn list(sh: &Shell, Packages { name, deb, rpm }: &Packages) -> Result<()> {
    let size = |path: &Path| fs::metadata(path).map(|file| file.len() / 1024).context("no package was made");
    let relations = cmd!(sh, "dpkg-deb --field {deb} Version Depends Recommends Installed-Size").read()?;
    let files = cmd!(sh, "dpkg-deb --contents {deb}").read()?;
    println!("\n{name}");
    for package in [deb, rpm] {
        println!("{}: {} KiB", package.display(), size(package)?);
    }
    println!("{relations}");
    files.lines().filter(|file| !file.ends_with('/')).for_each(|file| println!("{file}"));
    Ok(())
}
