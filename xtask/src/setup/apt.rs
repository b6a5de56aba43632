//! Installing packages.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::debian::{Backports, Debian};
use super::packages::{self, Package};
use crate::command::{captured, command, output, quietly};

/// The keys of Debian's archives. apt depends on the package that has them.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Where apt looks for package sources.
const SOURCES: &str = "/etc/apt/sources.list.d";

/// The versions of installed packages, by name.
pub(super) type Versions = BTreeMap<String, String>;

/// Installs what is missing or too old, and returns the versions of all that the project needs.
pub(super) fn ensure_installed(debian: Debian) -> Result<Versions> {
    let missing = missing(debian, &installed(debian)?)?;
    if missing.is_empty() {
        return installed(debian);
    }
    println!("Packages to install:");
    for package in &missing {
        println!("  {:34} {}", package.name, package.why);
    }
    quietly("completing interrupted installations", &mut as_root(["dpkg", "--configure", "--pending"])?)?;
    update()?;
    let (newer, plain): (Vec<Package>, Vec<Package>) =
        missing.into_iter().partition(|package| package.minimum.is_some());
    install(&plain, None)?;
    if !newer.is_empty() {
        let backports = debian.backports();
        if let Some(backports) = backports {
            add_source(backports)?;
        }
        install(&newer, backports)?;
    }
    let installed = installed(debian)?;
    if let Some(package) = self::missing(debian, &installed)?.first() {
        bail!(
            "{} {} is not to be had from this machine's package sources",
            package.name,
            package.minimum.unwrap_or_default()
        );
    }
    Ok(installed)
}

/// Fetches the lists of packages, as far as they can be had.
///
/// A source that is of no concern here may be broken for long, so a failure is shown and not
/// more: if it matters, what is to be installed will not be found.
pub(super) fn update() -> Result<()> {
    // By default apt takes a source that it cannot reach for a success.
    let mut update = apt(["update", "-o", "APT::Update::Error-Mode=any"])?;
    if let Err(error) = quietly("fetching package lists", &mut update) {
        eprintln!("{error:#}; going on with the lists that are there");
    }
    Ok(())
}

fn install(packages: &[Package], from: Option<Backports>) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    if let Some(backports) = from {
        arguments.extend(["--target-release", backports.suite]);
    }
    arguments.extend(packages.iter().map(|package| package.name));
    let mut install = apt(arguments)?;
    quietly("installing packages", &mut install)
        .context("packages are missing and cannot be installed, perhaps for want of a network")
}

/// Adds the backports suite to apt's sources, on the mirror that has the release itself.
pub(super) fn add_source(Backports { of, suite }: Backports) -> Result<()> {
    if repository(suite)?.is_some() {
        return Ok(());
    }
    let Some(mirror) = repository(of)? else {
        bail!("no package source has {of}, so where to find {suite} is unknown; add it to {SOURCES}");
    };
    let mut file = tempfile::NamedTempFile::new()?;
    write!(file, "Types: deb\nURIs: {mirror}\nSuites: {suite}\nComponents: main\nSigned-By: {KEYRING}\n")?;
    let from = file.path().display().to_string();
    let to = format!("{SOURCES}/{suite}.sources");
    quietly(
        &format!("adding {suite} to the package sources"),
        &mut as_root(["install", "--mode=0644", &from, &to])?,
    )?;
    update()
}

/// Where the packages of a suite come from, if apt knows the suite.
fn repository(suite: &str) -> Result<Option<String>> {
    let list = output(&mut command([
        "apt-get",
        "indextargets",
        "--format",
        "$(REPO_URI)",
        "Created-By: Packages",
        "Component: main",
        &format!("Codename: {suite}"),
    ]))?;
    Ok(list.lines().next().map(str::to_owned))
}

/// The packages of the project that are installed.
fn installed(debian: Debian) -> Result<Versions> {
    // dpkg-query fails if it does not know one of the names; what it knows it prints all the same.
    let format = "--showformat=${db:Status-Status} ${Package} ${Version}\n";
    let (_, list) = captured(command(["dpkg-query", "--show", format]).args(packages::names(debian)))?;
    let version = |line: &str| {
        let [name, version] = line.strip_prefix("installed ")?.split(' ').collect::<Vec<_>>()[..] else {
            return None;
        };
        Some((name.to_owned(), version.to_owned()))
    };
    Ok(list.lines().filter_map(version).collect())
}

/// The packages that are not installed or too old.
fn missing(debian: Debian, installed: &Versions) -> Result<Vec<Package>> {
    let mut missing = Vec::new();
    for package in packages::needed(debian) {
        let will_do = match (installed.get(package.name), package.minimum) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(version), Some(minimum)) => {
                captured(&mut command(["dpkg", "--compare-versions", version, "ge", minimum]))?.0
            }
        };
        if !will_do {
            missing.push(*package);
        }
    }
    Ok(missing)
}

fn apt<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Result<Command> {
    // Someone else may be installing; apt can wait for that instead of failing.
    let apt = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=300"];
    as_root(apt.into_iter().chain(arguments))
}

/// A command with root's rights.
fn as_root<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Command> {
    if rustix::process::geteuid().is_root() {
        return Ok(command(words));
    }
    let sudo = ["/usr/bin/sudo", "/bin/sudo"];
    if sudo.iter().any(|path| fs::exists(Path::new(path)).unwrap_or(false)) {
        return Ok(command(["sudo"].into_iter().chain(words)));
    }
    bail!(
        "packages have to be installed, and that takes root: run `cargo xtask setup` as root, or install sudo"
    )
}
