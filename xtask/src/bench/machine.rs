//! What measured: the machine, the compiler, and the versions of all contenders.

use std::fmt;
use std::fs;
use std::num::NonZero;
use std::thread;

use anyhow::{Context as _, Result};

use crate::command::{command, output};

/// The packages whose versions matter.
const CONTENDERS: [&str; 6] =
    ["ring-core", "virtio-queue", "virtio-drivers", "virtio-driver", "vm-memory", "rtrb"];

/// Everything that a figure depends on.
#[derive(Debug)]
pub(super) struct Machine {
    processor: String,
    processors: usize,
    kernel: String,
    compiler: String,
    versions: Vec<(&'static str, String)>,
}

impl Machine {
    /// The machine that this runs on.
    pub(super) fn this() -> Result<Self> {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let lock = fs::read_to_string("Cargo.lock").context("Cargo.lock cannot be read")?;
        Ok(Self {
            processor: model.map_or("unknown", |(_, model)| model).to_owned(),
            processors: thread::available_parallelism().map_or(1, NonZero::get),
            kernel: output(&mut command(["uname", "-sr"]))?.trim().to_owned(),
            compiler: output(&mut command(["rustc", "--version"]))?.trim().to_owned(),
            versions: CONTENDERS.iter().filter_map(|&name| Some((name, version(&lock, name)?))).collect(),
        })
    }
}

/// The version of a package in a lock file.
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
        writeln!(f, "- {}", versions.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_the_lock_file() {
        let lock = "[[package]]\nname = \"rtrb-x\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"rtrb\"\nversion = \"0.4.1\"\n";
        assert_eq!(version(lock, "rtrb").as_deref(), Some("0.4.1"));
        assert_eq!(version(lock, "other"), None);
    }
}
