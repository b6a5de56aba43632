//! What the kernel has counted for the threads of a process.

use std::fs;
use std::io;

/// The counters of threads.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counters {
    /// Voluntary context switches. Each ends with a wake-up.
    pub(crate) wakes: u64,
    /// Time on a processor, in nanoseconds.
    pub(crate) nanos: u64,
}

impl Counters {
    /// Adds the counters of the threads of a process whose name `counts`. Threads that have ended
    /// are not included.
    pub(crate) fn add(&mut self, process: u32, counts: impl Fn(&str) -> bool) -> io::Result<()> {
        for thread in fs::read_dir(format!("/proc/{process}/task"))? {
            let thread = thread?.path();
            // The thread may have ended after it was listed.
            let Ok(status) = fs::read_to_string(thread.join("status")) else { continue };
            let Ok(schedule) = fs::read_to_string(thread.join("schedstat")) else { continue };
            if counts(field(&status, "Name:").unwrap_or_default()) {
                self.wakes += number(field(&status, "voluntary_ctxt_switches:"))?;
                self.nanos += number(schedule.split_whitespace().next())?;
            }
        }
        Ok(())
    }
}

/// Returns the memory that no other process has, in KiB.
pub(crate) fn private_kib(process: u32) -> io::Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let kib = |name| number(field(&rollup, name).and_then(|kib| kib.strip_suffix(" kB")));
    Ok(kib("Private_Clean:")? + kib("Private_Dirty:")?)
}

/// Returns what follows `name` in its line.
fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

fn number(text: Option<&str>) -> io::Result<u64> {
    let number = text.and_then(|text| text.trim().parse().ok());
    number.ok_or_else(|| io::Error::other("the kernel does not count what is measured"))
}
