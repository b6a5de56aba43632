//! The processes of snd-host as the kernel lists them.

use std::fs;
use std::io;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};

use crate::memory;

/// The name of the audio process.
const NAME: &str = "snd-host-audio";

/// Returns the process id of the audio process of a card process, if there is one: the child of the
/// launcher, which is the child of the card process.
#[must_use]
pub fn audio_process(card: u32) -> Option<u32> {
    children(launcher(card)?).into_iter().find(|process| {
        let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
        // A process that has ended, and was not waited for yet, has no mappings.
        let runs = fs::read_to_string(format!("/proc/{process}/maps")).is_ok_and(|maps| !maps.is_empty());
        name.trim() == NAME && runs
    })
}

/// Returns the process id of the launcher of a card process, if there is one.
#[must_use]
pub fn launcher(card: u32) -> Option<u32> {
    children(card).first().copied()
}

/// Sends a signal to a process.
///
/// # Errors
/// Fails if the process has ended.
pub fn signal(process: u32, signal: Signal) -> io::Result<()> {
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
    Ok(kill_process(pid, signal)?)
}

/// Limits the size of the files that the current and later audio processes of a card process write:
/// the kernel ends a process that writes more (SIGXFSZ). `None` removes the limit.
///
/// # Errors
/// Fails if the card process has no launcher.
pub fn limit_files(card: u32, bytes: Option<u64>) -> io::Result<()> {
    let set = |process: u32| -> io::Result<()> {
        let process = i32::try_from(process).ok().and_then(Pid::from_raw);
        let limits = [(Resource::Fsize, bytes), (Resource::Core, Some(0))];
        for (resource, current) in limits {
            let Rlimit { maximum, .. } = getrlimit(resource);
            prlimit(process, resource, Rlimit { current, maximum })?;
        }
        Ok(())
    };
    set(launcher(card).ok_or(io::ErrorKind::NotFound)?)?;
    match audio_process(card).map(set) {
        // The process has ended meanwhile, and the next one has the limits of the launcher.
        None | Some(Err(_)) => Ok(()),
        Some(done) => done,
    }
}

/// The resources that a process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// The number of threads.
    pub threads: usize,
    /// The number of open files.
    pub files: usize,
    /// The number of mappings of memory that the two processes of snd-host share.
    pub takes: usize,
    /// The size of the memory that no file backs, in KiB.
    pub memory_kib: u64,
}

impl Usage {
    /// Returns the resources that a process holds now.
    ///
    /// # Errors
    /// Fails if the process has ended or belongs to another user.
    pub fn of(process: u32) -> io::Result<Self> {
        let entries = |directory: &str| Ok::<_, io::Error>(fs::read_dir(directory)?.count());
        let maps = fs::read_to_string(format!("/proc/{process}/maps"))?;
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let memory = status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.strip_suffix("kB"));
        Ok(Self {
            threads: entries(&format!("/proc/{process}/task"))?,
            files: entries(&format!("/proc/{process}/fd"))?,
            takes: maps.lines().filter_map(memory::memory_file).filter(|name| name == memory::TAKE).count(),
            memory_kib: memory
                .and_then(|kib| kib.trim().parse().ok())
                .ok_or_else(|| io::Error::other("the kernel does not report the memory of the process"))?,
        })
    }
}

/// Returns the processes that the main thread of a process has started.
fn children(process: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    children.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usage_counts_open_files() -> io::Result<()> {
        let before = Usage::of(std::process::id())?;
        let files: Vec<_> = (0..50).map(|_| fs::File::open("/dev/null")).collect::<Result<_, _>>()?;
        let usage = Usage::of(std::process::id())?;
        // Other tests of this process open and close a few files meanwhile.
        assert!(usage.files > before.files + 25, "{before:?}, {usage:?}");
        assert!(usage.threads > 0 && usage.memory_kib > 0, "{usage:?}");
        drop(files);
        Ok(())
    }

    #[test]
    fn a_process_without_a_launcher_has_no_audio_process() {
        assert_eq!(audio_process(std::process::id()), None);
    }
}
