//! PipeWire, for tests: Debian packages, unpacked but not installed.
//!
//! PipeWire is not installed, because the machine may have another version, or another sound server
//! that an installation would replace.

use std::path::Path;

use anyhow::{Context as _, Result};
use end_to_end::artifacts::target_dir;
use end_to_end::pipewire::PipeWire;
use xshell::{Shell, cmd};

use super::debian::Debian;
use super::{apt, debs, network};
use crate::cached;
use crate::command::quietly;

/// The server, its session manager, and its plugins. Both releases have the same version, so that
/// one configuration suffices.
const PROGRAMS: [&str; 6] = [
    "pipewire",
    "pipewire-bin",
    "libpipewire-0.3-modules",
    "libspa-0.2-modules",
    "wireplumber",
    "libwireplumber-0.5-0",
];
/// The libraries that no other package of the tests needs.
const LIBRARIES: [&str; 1] = ["liblua5.4-0"];

/// Returns the packages of a release, with the suite of each package that is not in the release.
fn packages(debian: Debian) -> Vec<String> {
    let library = match debian {
        Debian::Bookworm => "libpipewire-0.3-0",
        Debian::Trixie => "libpipewire-0.3-0t64",
    };
    let suite = debian.backports().map(|backports| format!("/{}", backports.suite)).unwrap_or_default();
    let newer = PROGRAMS.into_iter().chain([library]).map(|name| format!("{name}{suite}"));
    newer.chain(LIBRARIES.map(str::to_owned)).collect()
}

/// Downloads and unpacks PipeWire, unless that was done before.
pub(super) fn prepare(sh: &Shell, debian: Debian) -> Result<()> {
    let directory = target_dir()?.join(PipeWire::DIRECTORY);
    let packages = packages(debian);
    cached::directory(&directory, &format!("{packages:?}\n"), |new| {
        network::check(sh)?;
        debian.backports().map_or(Ok(()), |backports| apt::add_source(sh, backports))?;
        fill(sh, &packages, new)
    })
}

fn fill(sh: &Shell, packages: &[String], directory: &Path) -> Result<()> {
    let names: Vec<&str> = packages.iter().map(String::as_str).collect();
    if debs::unpack(sh, "PipeWire", &names, directory).is_err() {
        // The package lists may be old, or, in a new container, missing.
        apt::update(sh)?;
        debs::unpack(sh, "PipeWire", &names, directory)?;
    }
    let server = PipeWire::within(directory);
    for program in [&server.program, &server.client, &server.session_manager] {
        let version = cmd!(sh, "{program} --version").env("LD_LIBRARY_PATH", server.libraries());
        quietly("starting PipeWire once", version)
            .with_context(|| format!("{} does not start from its directory", program.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bookworm_takes_pipewire_from_the_backports() {
        let bookworm = packages(Debian::Bookworm);
        assert!(bookworm.contains(&"wireplumber/bookworm-backports".to_owned()), "{bookworm:?}");
        assert!(bookworm.contains(&"liblua5.4-0".to_owned()), "{bookworm:?}");
        let trixie = packages(Debian::Trixie);
        assert!(trixie.contains(&"libpipewire-0.3-0t64".to_owned()), "{trixie:?}");
        assert!(trixie.iter().all(|name| !name.contains('/')), "{trixie:?}");
    }
}
