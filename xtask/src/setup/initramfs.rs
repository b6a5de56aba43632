//! The guest's user space: an initramfs from installed packages.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use cpio::newc::{Builder, ModeFileType, trailer};
use end_to_end::guest::INIT;
use xshell::{Shell, cmd};

use super::apt::Versions;
use super::kernel::Kernel;
use crate::cached;

/// The packages whose files the initramfs contains.
const FROM: [&str; 2] = ["busybox-static", "alsa-utils"];
/// The programs in the initramfs. The libraries of the programs are added.
const PROGRAMS: [&str; 3] = ["/usr/bin/aplay", "/usr/bin/arecord", "/usr/bin/amixer"];
/// The configuration of alsa-lib, without which `hw:0,0` is unknown.
const ALSA_CONFIGURATION: &str = "/usr/share/alsa";

/// Builds the initramfs at `path`, unless an initramfs of the same content exists.
pub(super) fn prepare(sh: &Shell, path: &Path, kernel: &Kernel, packages: &Versions) -> Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default();
    let versions: Vec<String> =
        FROM.iter().filter_map(|&name| Some(format!("{name} {}", packages.get(name)?))).collect();
    let modules = kernel.modules()?;
    let modules: Vec<_> = modules.iter().filter_map(|module| module.file_name()).collect();
    let inputs =
        format!("Linux {}, {modules:?}, {}, {PROGRAMS:?}\n{INIT}", kernel.release(), versions.join(", "));
    cached::directory(directory, &inputs, |new| fill(sh, &new.join(name), kernel))
}

fn fill(sh: &Shell, path: &Path, kernel: &Kernel) -> Result<()> {
    let mut archive = Archive::create(path)?;
    archive.add("/init", 0o755, INIT.as_bytes())?;
    archive.add_file("/bin/busybox", Path::new("/bin/busybox"))?;
    let mut order = String::new();
    for module in kernel.modules()? {
        let name = module.file_name().unwrap_or_default().to_string_lossy();
        archive.add_file(&format!("/modules/{name}"), &module)?;
        order.push_str(&name);
        order.push('\n');
    }
    archive.add("/modules/order", 0o644, order.as_bytes())?;
    for program in PROGRAMS {
        archive.add_file(program, Path::new(program))?;
        for library in libraries(sh, program)? {
            archive.add_file(&library, Path::new(&library))?;
        }
    }
    archive.add_tree(Path::new(ALSA_CONFIGURATION))?;
    archive.finish()
}

/// Returns the paths of the shared libraries that a program loads.
fn libraries(sh: &Shell, program: &str) -> Result<Vec<String>> {
    let list = cmd!(sh, "ldd {program}").read()?;
    // "NAME => PATH (ADDRESS)", or "PATH (ADDRESS)" for the loader.
    let paths = list.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    Ok(paths.map(str::to_owned).collect())
}

/// A cpio archive. Each path occurs once, after the directories that contain it.
struct Archive {
    file: BufWriter<File>,
    paths: BTreeSet<String>,
}

impl Archive {
    fn create(path: &Path) -> Result<Self> {
        Ok(Self { file: BufWriter::new(File::create(path)?), paths: BTreeSet::new() })
    }

    /// Adds a file of this machine. Links are followed.
    fn add_file(&mut self, path: &str, from: &Path) -> Result<()> {
        let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
        self.add(path, 0o755, &content)
    }

    /// Adds all files below a directory of this machine, under the same paths.
    fn add_tree(&mut self, directory: &Path) -> Result<()> {
        let mut entries: Vec<PathBuf> =
            fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        entries.sort();
        for path in entries {
            if path.is_dir() {
                self.add_tree(&path)?;
            } else {
                self.add_file(&path.to_string_lossy(), &path)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &str, mode: u32, content: &[u8]) -> Result<()> {
        let path = path.trim_start_matches('/');
        for (end, _) in path.match_indices('/') {
            self.entry(&path[..end], 0o755, ModeFileType::Directory, &[])?;
        }
        self.entry(path, mode, ModeFileType::Regular, content)
    }

    fn entry(&mut self, path: &str, mode: u32, kind: ModeFileType, content: &[u8]) -> Result<()> {
        if !self.paths.insert(path.to_owned()) {
            return Ok(());
        }
        let size = u32::try_from(content.len())?;
        let entry = Builder::new(path).mode(mode).set_mode_file_type(kind);
        let mut writer = entry.write(&mut self.file, size);
        writer.write_all(content)?;
        writer.finish()?;
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        trailer(&mut self.file)?;
        self.file.flush()?;
        Ok(())
    }
}
