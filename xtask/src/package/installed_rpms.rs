//! The RPM packages in a bare Debian: installed, compared, removed.

use anyhow::{Result, ensure};

use super::Packages;
use super::bare_system::BareSystem;
use super::installed::{check_files_are_gone, inside, verify_units};

/// Debian's rpm installs packages only if it is forced. The names of the dependencies are those of
/// Fedora.
const INSTALL: [&str; 4] = ["rpm", "--force-debian", "--nodeps", "--install"];
/// What systemd does on Fedora after files were put into its directories. Here it only prints what
/// it would do, so that nothing is left.
const TRIGGERS: [&[&str]; 2] = [
    &["systemd-sysusers", "--dry-run", "isolation-host.conf"],
    &["systemd-tmpfiles", "--dry-run", "--create", "isolation-host.conf"],
];

/// Installs the packages, compares the files with what the packages say of them, verifies the
/// units, and removes the packages. The system has rpm and the packages already.
pub(super) fn test(system: &BareSystem<'_>, packages: &[Packages]) -> Result<()> {
    let files: Vec<String> = packages.iter().map(|package| inside(&package.rpm)).collect::<Result<_>>()?;
    let words = INSTALL.into_iter().chain(files.iter().map(String::as_str));
    system.command(&words.collect::<Vec<_>>()).run()?;
    for Packages { name, .. } in packages {
        system.command(&["rpm", "--verify", "--nodeps", name]).run()?;
        println!("{}", system.command(&[name, "--version"]).read()?);
        println!("{}", system.command(&["rpm", "--query", "--requires", "--scripts", name]).read()?);
    }
    for trigger in TRIGGERS {
        system.command(trigger).run()?;
    }
    verify_units(system)?;
    for Packages { name, .. } in packages {
        let output = system.command(&["rpm", "--erase", "--nodeps", name]).read_stderr()?;
        ensure!(output.is_empty(), "removing {name} prints:\n{output}");
        check_files_are_gone(system, name)?;
    }
    println!("nothing is left after the removal of the RPM packages");
    Ok(())
}
