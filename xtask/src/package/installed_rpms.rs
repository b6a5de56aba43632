//! The RPM packages in a bare Debian: installed, compared, removed.

use anyhow::{Result, ensure};

use super::Packages;
use super::bare_system::BareSystem;
use super::installed::{check_files_are_gone, inside, verify_units};

/// The dependencies have the names of Fedora. A plugin of rpm needs a root directory that is a
/// mount point.
const RPM: [&str; 3] = ["rpm", "--noplugins", "--nodeps"];
/// What systemd does on Fedora after a file was put into its directory. Here it only prints what it
/// would do, so that nothing is left. rpm itself makes the groups of sysusers.
const TMPFILES: [&str; 4] = ["systemd-tmpfiles", "--dry-run", "--create", "isolation-host.conf"];

/// Installs the packages, compares the files with what the packages say of them, verifies the
/// units, and removes the packages. The system has rpm and the packages already.
pub(super) fn test(system: &BareSystem<'_>, packages: &[Packages]) -> Result<()> {
    let files: Vec<String> = packages.iter().map(|package| inside(&package.rpm)).collect::<Result<_>>()?;
    rpm(system, &[&["--install"], &files.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat())?;
    for Packages { name, .. } in packages {
        rpm(system, &["--verify", name])?;
        println!("{}", system.command(&[name, "--version"]).read()?);
        println!("{}", system.command(&["rpm", "--query", "--scripts", name]).read()?);
        let required = system.command(&["rpm", "--query", "--requires", name]).read()?;
        check_requirements(name, &required)?;
        required
            .lines()
            .filter(|line| !line.contains("(GLIBC_"))
            .for_each(|line| println!("requires {line}"));
    }
    system.command(&TMPFILES).run()?;
    verify_units(system)?;
    for Packages { name, .. } in packages {
        rpm(system, &["--erase", name])?;
        check_files_are_gone(system, name)?;
    }
    println!("no file is left after the removal of the RPM packages");
    Ok(())
}

/// Checks that snd-host requires GStreamer, which it uses directly, and not libbz2, which only a
/// library uses: such a library may have another name on Fedora.
fn check_requirements(name: &str, required: &str) -> Result<()> {
    if name == "snd-host" {
        ensure!(
            required.contains("libgstreamer-1.0.so.0"),
            "snd-host does not require GStreamer:\n{required}"
        );
        ensure!(!required.contains("libbz2"), "snd-host requires libbz2, but does not use it:\n{required}");
    }
    Ok(())
}

/// Runs rpm. A word of rpm is an error, even if rpm succeeds.
fn rpm(system: &BareSystem<'_>, arguments: &[&str]) -> Result<()> {
    let words = [&RPM[..], arguments].concat();
    let output = system.command(&words).ignore_status().output()?;
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    ensure!(output.status.success() && printed.is_empty(), "`{}` prints:\n{printed}", words.join(" "));
    Ok(())
}
