//! The memory files that a process maps or has open.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

/// QEMU's name of the guest memory that a `memory-backend-memfd` creates.
pub const GUEST: &str = "memory-backend-memfd";
/// The name of the area that isolation-host gives to a device instead.
pub const ISOLATED: &str = "isolated-area";

/// The name of the memory that the two processes of snd-host share.
pub const TAKE: &str = "snd-host-take";

/// Returns the names of all memory files that a process maps or has open.
///
/// # Errors
/// Fails if the process has ended or belongs to another user.
pub fn of_process(process: u32) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let maps = fs::read_to_string(format!("/proc/{process}/maps"))?;
    names.extend(maps.lines().filter_map(memory_file));
    for descriptor in fs::read_dir(format!("/proc/{process}/fd"))? {
        // A descriptor may be closed after it was listed.
        if let Ok(open) = fs::read_link(descriptor?.path()) {
            names.extend(memory_file(&open.to_string_lossy()));
        }
    }
    Ok(names)
}

/// Returns NAME from "… /memfd:NAME (deleted)", the form of both lists, or a path in `/dev/shm`.
pub(crate) fn memory_file(line: &str) -> Option<String> {
    let path = line.get(line.find('/')?..)?;
    if let Some(name) = path.strip_prefix("/memfd:") {
        return Some(name.trim_end_matches(" (deleted)").to_owned());
    }
    Path::new(path).starts_with("/dev/shm").then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{MemfdFlags, memfd_create};

    #[test]
    fn memory_that_is_open_or_mapped_is_listed() -> io::Result<()> {
        let file = memfd_create("listed by a test", MemfdFlags::CLOEXEC)?;
        assert!(of_process(std::process::id())?.contains("listed by a test"));
        drop(file);
        assert!(!of_process(std::process::id())?.contains("listed by a test"));
        let line = "7f2c80000000-7f2c84000000 rw-s 00000000 00:01 1033     /memfd:isolated-area (deleted)";
        assert_eq!(memory_file(line).as_deref(), Some("isolated-area"));
        assert_eq!(memory_file("7f2c-7f2d rw-s 0 00:18 9  /dev/shm/qemu").as_deref(), Some("/dev/shm/qemu"));
        assert_eq!(memory_file("7f2c80000000-7f2c84000000 r-xp 0 fe:00 7  /usr/lib/libc.so.6"), None);
        Ok(())
    }
}
