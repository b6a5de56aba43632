//! Installing packages with apt.

use std::collections::BTreeMap;
use std::io::Write as _;

use anyhow::{Result, bail};
use xshell::{Shell, cmd};

use super::debian::{Backports, Debian};
use super::packages::{self, Package, Purpose};
use super::plan::Plan;
use super::root::{apt_get, as_root};
use super::{dpkg, lock, network};
use crate::command::{captured, quietly};

/// The keys of Debian's archives, from a package that apt depends on.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// apt's directory of package sources.
const SOURCES: &str = "/etc/apt/sources.list.d";

/// The versions of installed packages, by name.
pub(super) type Versions = BTreeMap<String, String>;

/// Installs missing and outdated packages. Returns the versions of all packages of the purpose.
pub(super) fn ensure_installed(sh: &Shell, debian: Debian, purpose: Purpose) -> Result<Versions> {
    let names = packages::names(debian, purpose);
    let missing = |installed: &Versions| missing(sh, packages::needed(debian, purpose), installed);
    let absent = missing(&installed(sh, &names)?)?;
    if absent.is_empty() {
        return installed(sh, &names);
    }
    println!("Packages to install:");
    for package in &absent {
        println!("  {:34} {}", package.name, package.why);
    }
    network::check(sh)?;
    dpkg::complete(sh)?;
    update(sh)?;
    let (newer, plain): (Vec<Package>, Vec<Package>) =
        absent.into_iter().partition(|package| package.minimum.is_some());
    install(sh, &plain, None)?;
    if !newer.is_empty() {
        let backports = debian.backports();
        if let Some(backports) = backports {
            add_source(sh, backports)?;
        }
        install(sh, &newer, backports)?;
    }
    let installed = installed(sh, &names)?;
    if let Some(Package { name, minimum, .. }) = missing(&installed)?.first() {
        let minimum = minimum.unwrap_or_default();
        bail!("the package sources of this machine do not have {name} {minimum}; add one to {SOURCES}");
    }
    Ok(installed)
}

/// Fetches the lists of packages. A failure is only printed, because the project may not need the
/// source that is broken.
pub(super) fn update(sh: &Shell) -> Result<()> {
    lock::wait()?;
    // Without the option, apt reports success although a source cannot be reached.
    let update = apt_get(sh)?.args(["update", "-o", "APT::Update::Error-Mode=any"]);
    if let Err(error) = quietly("fetching package lists", update) {
        eprintln!("{error:#}; continuing with the package lists of the last update");
    }
    Ok(())
}

/// Installs packages, unless apt would remove other packages for them.
fn install(sh: &Shell, packages: &[Package], from: Option<Backports>) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = packages.iter().map(|package| package.name).collect();
    let mut options = vec!["install", "--no-install-recommends"];
    options.extend(from.map(|backports| ["--target-release", backports.suite]).into_iter().flatten());

    let simulate = cmd!(sh, "env LC_ALL=C apt-get --simulate").args(&options).args(&names);
    let (possible, simulation) = captured("finding out what apt would change", simulate)?;
    if !possible {
        eprintln!("{simulation}");
        bail!("apt cannot install {}; its reasons are above", names.join(", "));
    }
    let plan = Plan::parse(&simulation);
    plan.check(&names)?;
    plan.show();
    lock::wait()?;
    // The package lists cannot have changed, unless another process installs packages.
    quietly("installing packages", apt_get(sh)?.args(options).args(["--yes", "--no-remove"]).args(names))
}

/// Returns the packages that apt would install for others to run. Changes nothing.
pub(super) fn missing_dependencies(sh: &Shell, packages: &[&str]) -> Result<Vec<String>> {
    let simulate = cmd!(sh, "env LC_ALL=C apt-get --simulate install --no-install-recommends {packages...}");
    let (possible, simulation) = captured("finding out which libraries are missing", simulate)?;
    if !possible {
        eprintln!("{simulation}");
        bail!("apt cannot install {}; its reasons are above", packages.join(", "));
    }
    Ok(Plan::parse(&simulation).new)
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
pub(super) fn repository(sh: &Shell, suite: &str) -> Result<Option<String>> {
    let (format, suite) = ("$(REPO_URI)", format!("Codename: {suite}"));
    let filters = ["Created-By: Packages", "Component: main", &suite];
    let list = cmd!(sh, "apt-get indextargets --format {format} {filters...}").read()?;
    Ok(list.lines().next().map(str::to_owned))
}

/// Returns the packages that are installed.
fn installed(sh: &Shell, names: &[&str]) -> Result<Versions> {
    // dpkg-query fails if one name is unknown, and prints the known packages nevertheless.
    let format = "${db:Status-Status} ${Package} ${Version}\n";
    let query = cmd!(sh, "dpkg-query --show --showformat={format} {names...}");
    let list = query.ignore_status().ignore_stderr().read()?;
    let version = |line: &str| {
        let (name, version) = line.strip_prefix("installed ")?.split_once(' ')?;
        Some((name.to_owned(), version.to_owned()))
    };
    Ok(list.lines().filter_map(version).collect())
}

/// Returns the packages that are not installed or too old.
fn missing(
    sh: &Shell,
    needed: impl Iterator<Item = &'static Package>,
    installed: &Versions,
) -> Result<Vec<Package>> {
    let mut missing = Vec::new();
    for package in needed {
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
