//! The Debian packages in a bare Debian: installed, read, started, purged.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use super::bare_system::BareSystem;
use super::{Packages, front_end, unit};
use crate::command::captured;

/// The directory of the packages inside the system.
const INSIDE: &str = "/root";
/// A rule of lintian for packages that are uploaded to Debian.
const NOT_FOR_US: &str = "initial-upload-closes-no-bugs";
/// Files that the packages have not installed: the packages themselves, and the pages that man has
/// formatted for this test.
const NOT_OF_PACKAGES: [&str; 2] = ["/root/*", "/var/cache/man/*"];
/// What rpmlint reports and is intended: the file inside the system, and its text.
const INTENDED: (&str, &str) = ("/root/rpmlint.toml", include_str!("rpmlint.toml"));
/// The instance of isolation-host.
const INSTANCE: &str = "package-test";
/// What the administrator configures: snd-host as the device of the instance.
const CONFIGURATION: (&str, &str) = ("/etc/isolation-host/package-test.conf", "OPTIONS=\"--device snd\"\n");
/// The man pages.
const PAGES: [&str; 4] = ["isolation-host", "snd-host", "snd-host-check", "snd-host-devices"];
/// Where the shells look for the completions of a program.
const COMPLETIONS: [&str; 3] = [
    "/usr/share/bash-completion/completions/{}",
    "/usr/share/zsh/vendor-completions/_{}",
    "/usr/share/fish/vendor_completions.d/{}.fish",
];
/// Units with the manager that runs them.
const UNITS: [(&str, &[&str]); 2] = [
    ("--system", &["isolation-host@package-test.service", "isolation-host@package-test.socket"]),
    ("--user", &["/usr/lib/systemd/user/snd-host.service", "/usr/lib/systemd/user/snd-host.socket"]),
];
/// The unit files that are run here.
const SND_HOST: &str = "/usr/lib/systemd/user/snd-host.service";
const ISOLATION_HOST: [&str; 2] =
    ["/usr/lib/systemd/system/isolation-host@.service", "/usr/lib/systemd/system/isolation-host@.socket"];

/// Copies all packages into the system. Installs, uses and purges the Debian packages, and lints
/// all packages.
pub(super) fn test(system: &BareSystem<'_>, packages: &[Packages]) -> Result<()> {
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    for package in packages {
        for file in [&package.deb, &package.rpm] {
            fs::copy(file, system.path(&inside(file)?))?;
        }
    }
    let debs: Vec<String> = packages.iter().map(|package| inside(&package.deb)).collect::<Result<_>>()?;
    install.extend(debs.iter().map(String::as_str));
    system.apt(&install)?;
    for package in packages {
        read(system, &package.name)?;
    }
    for page in PAGES {
        let text = system.command(&["man", "--pager=cat", page]).read()?;
        ensure!(text.contains("DESCRIPTION"), "the man page of {page} is incomplete:\n{text}");
    }
    verify_units(system)?;
    serve(system)?;
    purge(system, packages)?;
    lint(system, packages)
}

/// Returns the path of a package inside the system.
pub(super) fn inside(package: &Path) -> Result<String> {
    let file = package.file_name().and_then(|file| file.to_str()).context("a package has no name")?;
    Ok(format!("{INSIDE}/{file}"))
}

/// Asks a program for its version, and looks for its completions.
fn read(system: &BareSystem<'_>, name: &str) -> Result<()> {
    println!("{}", system.command(&[name, "--version"]).read()?);
    let files = COMPLETIONS.map(|path| path.replace("{}", name));
    for file in &files {
        ensure!(fs::metadata(system.path(file)).is_ok_and(|file| file.len() > 0), "{file} is missing");
    }
    let load = format!(". {} && complete -p {name}", files[0]);
    Ok(system.command(&["bash", "-c", &load]).run()?)
}

/// Has systemd check the units.
pub(super) fn verify_units(system: &BareSystem<'_>) -> Result<()> {
    for (manager, units) in UNITS {
        // The manager of a user has a runtime directory.
        let words = ["env", "XDG_RUNTIME_DIR=/run", "systemd-analyze", "verify", manager];
        let verify = system.command(&[&words, units].concat());
        let (success, output) = captured("verifying units", verify)?;
        let found: Vec<&str> = output.lines().filter(|line| line.contains("-host")).collect();
        if !success || !found.is_empty() {
            bail!("systemd-analyze has found errors in the units:\n{output}");
        }
        println!("{}: no errors", units.join(", "));
    }
    Ok(())
}

/// Starts both services on their sockets. snd-host is the device of isolation-host. A front-end
/// asks isolation-host for the features.
fn serve(system: &BareSystem<'_>) -> Result<()> {
    let (file, text) = CONFIGURATION;
    fs::create_dir_all(system.path("/etc/isolation-host"))?;
    fs::write(system.path(file), text)?;
    system.command(&["systemd-tmpfiles", "--create", "isolation-host.conf"]).run()?;

    let unit =
        |path| fs::read_to_string(system.path(path)).with_context(|| format!("{path} is not installed"));
    let device = unit::script(&unit(SND_HOST)?, "").context("snd-host's unit starts nothing")?;
    let service = unit(ISOLATION_HOST[0])?;
    let proxy = unit::script(&service, INSTANCE).context("isolation-host's unit starts nothing")?;
    let socket = unit::setting(&unit(ISOLATION_HOST[1])?, "ListenStream", INSTANCE);
    let socket = socket.context("isolation-host's socket has no path")?;

    // systemd makes these directories for the services (`RuntimeDirectory=`).
    let [device_run, proxy_run] =
        ["device", "host"].map(|service| format!("/run/isolation-{service}-{INSTANCE}"));
    for directory in [&device_run, &proxy_run] {
        fs::create_dir_all(system.path(directory))?;
    }
    let device_socket = format!("{device_run}/device.sock");
    let mut device = system.activate(&device_socket, &device)?;
    let mut proxy = system.activate(&socket, &proxy)?;
    let features = front_end::features(&system.path(&socket))
        .with_context(|| format!("the log:\n{}", [proxy.log(), device.log()].concat().join("\n")))?;
    println!("isolation-host, with snd-host as its device, offers the features {features:#x}");
    drop((proxy, device));
    for directory in [device_run, proxy_run] {
        fs::remove_dir_all(system.path(&directory))?;
    }
    Ok(())
}

/// Purges the packages. Nothing of them remains.
fn purge(system: &BareSystem<'_>, packages: &[Packages]) -> Result<()> {
    let names = packages.iter().map(|package| package.name.as_str());
    system.apt(&["purge", "--yes"].into_iter().chain(names.clone()).collect::<Vec<_>>())?;
    for name in names {
        check_files_are_gone(system, name)?;
        let groups = fs::read_to_string(system.path("/etc/group"))?;
        // isolation-host has a second group, isolation-device.
        let left = groups.lines().find(|group| group.starts_with(name) || group.starts_with("isolation-"));
        ensure!(left.is_none(), "a group is left after the purge of {name}: {left:?}");
    }
    println!("nothing is left after the purge");
    Ok(())
}

/// Fails if there is a file that is named for a package.
pub(super) fn check_files_are_gone(system: &BareSystem<'_>, name: &str) -> Result<()> {
    let pattern = format!("*{name}*");
    let mut find = system.command(&["find", "/", "-xdev", "-name", &pattern]);
    for excluded in NOT_OF_PACKAGES {
        find = find.args(["-not", "-path", excluded]);
    }
    let left = find.read()?;
    ensure!(left.is_empty(), "these files are left after the removal of {name}:\n{left}");
    Ok(())
}

/// Checks the packages with the distributions' own tools.
fn lint(system: &BareSystem<'_>, packages: &[Packages]) -> Result<()> {
    system.apt(&["install", "--yes", "--no-install-recommends", "lintian", "rpm", "rpmlint"])?;
    let suppressed = format!("--suppress-tags={NOT_FOR_US}");
    let (intended, text) = INTENDED;
    fs::write(system.path(intended), text)?;
    for package in packages {
        let deb = inside(&package.deb)?;
        system.command(&["lintian", "--allow-root", "--fail-on=error,warning", &suppressed, &deb]).run()?;
        system.command(&["rpmlint", "--config", intended, &inside(&package.rpm)?]).run()?;
    }
    Ok(())
}
