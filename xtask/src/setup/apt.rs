//! Installing packages with apt.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;

use anyhow::{Context as _, Result, bail};
use xshell::{Cmd, Shell, cmd};

use super::debian::{Backports, Debian};
use super::packages::{self, Package};
use crate::command::quietly;

/// The keys of Debian's archives, from a package that apt depends on.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// apt's directory of package sources.
const SOURCES: &str = "/etc/apt/sources.list.d";

/// The versions of installed packages, by name.
pub(super) type Versions = BTreeMap<String, String>;

/// Installs missing and outdated packages. Returns the versions of all packages of the project.
pub(super) fn ensure_installed(sh: &Shell, debian: Debian) -> Result<Versions> {
    let missing = missing(sh, debian, &installed(sh, debian)?)?;
    if missing.is_empty() {
        return installed(sh, debian);
    }
    println!("Packages to install:");
    for package in &missing {
        println!("  {:34} {}", package.name, package.why);
    }
    let configure = as_root(sh, cmd!(sh, "dpkg --configure --pending"))?;
    quietly("completing interrupted installations", configure)?;
    update(sh)?;
    let (newer, plain): (Vec<Package>, Vec<Package>) =
        missing.into_iter().partition(|package| package.minimum.is_some());
    install(sh, &plain, None)?;
    if !newer.is_empty() {
        let backports = debian.backports();
        if let Some(backports) = backports {
            add_source(sh, backports)?;
        }
        install(sh, &newer, backports)?;
    }
    let installed = installed(sh, debian)?;
    if let Some(Package { name, minimum, .. }) = self::missing(sh, debian, &installed)?.first() {
        let minimum = minimum.unwrap_or_default();
        bail!("the package sources of this machine do not have {name} {minimum}; add one to {SOURCES}");
    }
    Ok(installed)
}

/// Fetches the lists of packages. A failure is only printed, because the project may not need the
/// source that is broken.
pub(super) fn update(sh: &Shell) -> Result<()> {
    // Without the option, apt reports success although a source cannot be reached.
    let update = apt(sh)?.args(["update", "-o", "APT::Update::Error-Mode=any"]);
    if let Err(error) = quietly("fetching package lists", update) {
        eprintln!("{error:#}; continuing with the package lists of the last update");
    }
    Ok(())
}

fn install(sh: &Shell, packages: &[Package], from: Option<Backports>) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let mut install = apt(sh)?.args(["install", "--yes", "--no-install-recommends"]);
    if let Some(backports) = from {
        install = install.args(["--target-release", backports.suite]);
    }
    quietly("installing packages", install.args(packages.iter().map(|package| package.name)))
        .context("cannot install packages; check that the package sources can be reached")
}

/// Adds a backports suite to apt's sources, on the mirror of the release.
pub(super) fn add_source(sh: &Shell, Backports { of, suite }: Backports) -> Result<()> {
    if repository(sh, suite)?.is_some() {
        return Ok(());
    }
    let Some(mirror) = repository(sh, of)? else {
        bail!("no package source has {of}, so the mirror of {suite} is unknown; add {suite} to {SOURCES}");
    };
    let mut file = tempfile::NamedTempFile::new()?;
    write!(file, "Types: deb\nURIs: {mirror}\nSuites: {suite}\nComponents: main\nSigned-By: {KEYRING}\n")?;
    let (from, to) = (file.path(), format!("{SOURCES}/{suite}.sources"));
    let install = as_root(sh, cmd!(sh, "install --mode=0644 {from} {to}"))?;
    quietly(&format!("adding {suite} to the package sources"), install)?;
    update(sh)
}

/// Returns the address of a suite's packages, if apt knows the suite.
fn repository(sh: &Shell, suite: &str) -> Result<Option<String>> {
    let (format, suite) = ("$(REPO_URI)", format!("Codename: {suite}"));
    let filters = ["Created-By: Packages", "Component: main", &suite];
    let list = cmd!(sh, "apt-get indextargets --format {format} {filters...}").read()?;
    Ok(list.lines().next().map(str::to_owned))
}

/// Returns the installed packages of the project.
fn installed(sh: &Shell, debian: Debian) -> Result<Versions> {
    // dpkg-query fails if one name is unknown, and prints the known packages nevertheless.
    let (format, names) = ("${db:Status-Status} ${Package} ${Version}\n", packages::names(debian));
    let query = cmd!(sh, "dpkg-query --show --showformat={format} {names...}");
    let list = query.ignore_status().ignore_stderr().read()?;
    let version = |line: &str| {
        let (name, version) = line.strip_prefix("installed ")?.split_once(' ')?;
        Some((name.to_owned(), version.to_owned()))
    };
    Ok(list.lines().filter_map(version).collect())
}

/// Returns the packages that are not installed or too old.
fn missing(sh: &Shell, debian: Debian, installed: &Versions) -> Result<Vec<Package>> {
    let mut missing = Vec::new();
    for package in packages::needed(debian) {
        let suffices = match (installed.get(package.name), package.minimum) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(version), Some(minimum)) => {
                let compare = cmd!(sh, "dpkg --compare-versions {version} ge {minimum}");
                compare.ignore_status().output()?.status.success()
            }
        };
        if !suffices {
            missing.push(*package);
        }
    }
    Ok(missing)
}

/// apt-get as root, to be completed. Waits for another apt process instead of failing.
fn apt(sh: &Shell) -> Result<Cmd<'_>> {
    as_root(sh, cmd!(sh, "env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300"))
}

/// Adds sudo to a command, unless this process is root.
fn as_root<'s>(sh: &'s Shell, command: Cmd<'s>) -> Result<Cmd<'s>> {
    if rustix::process::geteuid().is_root() {
        return Ok(command);
    }
    if !["/usr/bin/sudo", "/bin/sudo"].iter().any(|path| fs::exists(path).unwrap_or(false)) {
        bail!("installing packages needs root; run `cargo xtask setup` as root, or install sudo");
    }
    let command = std::process::Command::from(command);
    Ok(cmd!(sh, "sudo").arg(command.get_program()).args(command.get_args()))
}
