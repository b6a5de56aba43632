//! The machine, the compiler, and the versions of all measured implementations.

use std::fmt;
use std::fs;
use std::num::NonZero;
use std::thread;

use anyhow::{Context as _, Result};
use xshell::{Shell, cmd};

use super::table::wrapped;

/// The packages that are measured.
const PACKAGES: [&str; 6] =
    ["ring-core", "virtio-queue", "virtio-drivers", "virtio-driver", "vm-memory", "rtrb"];

/// The properties of the machine on which a measurement depends.
#[derive(Debug)]
pub(super) struct Machine {
    processor: String,
    processors: usize,
    kernel: String,
    compiler: String,
    versions: Vec<(&'static str, String)>,
}

impl Machine {
    /// Returns the machine that this program runs on.
    pub(super) fn this(sh: &Shell) -> Result<Self> {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let lock = fs::read_to_string("Cargo.lock").context("cannot read Cargo.lock")?;
        Ok(Self {
            processor: model.map_or("unknown", |(_, model)| model).to_owned(),
            processors: thread::available_parallelism().map_or(1, NonZero::get),
            kernel: cmd!(sh, "uname -sr").read()?,
            compiler: cmd!(sh, "rustc --version").read()?,
            versions: PACKAGES.iter().filter_map(|&name| Some((name, version(&lock, name)?))).collect(),
        })
    }
}

/// Returns the version of a package in a lock file.
fn version(lock: &str, package: &str) -> Option<String> {
    let mut lines = lock.lines().skip_while(|line| *line != format!("name = \"{package}\""));
    let version = lines.nth(1)?.strip_prefix("version = ")?;
    Some(version.trim_matches('"').to_owned())
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { processor, processors, kernel, compiler, versions } = self;
        let versions: Vec<String> =
            versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
        writeln!(f, "- {processors} × {processor}, {kernel}")?;
        writeln!(f, "- {compiler}, profile `bench`")?;
        writeln!(f, "- {}", wrapped(&versions.join(", ")).trim_end().replace('\n', "\n  "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_from_the_lock_file() {
        let lock = "name = \"rtrb-x\"\nversion = \"1.0.0\"\n\nname = \"rtrb\"\nversion = \"0.4.1\"\n";
        assert_eq!(version(lock, "rtrb").as_deref(), Some("0.4.1"));
        assert_eq!(version(lock, "other"), None);
    }
}
