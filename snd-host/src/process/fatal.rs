//! Ends the process when it cannot serve a guest any more.
//!
//! A process that lives on without its event loop is worse than no process: QEMU does not notice,
//! and nothing restarts it.

use std::io::{self, IoSlice};
use std::panic;
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The exit status after a fatal error.
const FAILURE: i32 = 1;

/// The exit status after a panic, as Rust programs have it.
const PANIC: i32 = 101;

/// Makes a panic in any thread end the process.
///
/// By default only the thread would end, with a poisoned lock behind it.
pub fn end_on_panic() {
    panic::set_hook(Box::new(|info| {
        let thread = thread::current();
        let name = thread.name().unwrap_or("without a name");
        end_with(PANIC, &format!("a bug in snd-host has ended it: thread '{name}' {info}"));
    }));
}

/// Prints a sentence and ends the process at once. Waits for no lock, no file and no thread, and
/// allocates nothing.
pub(super) fn end(sentence: &str) -> ! {
    end_with(FAILURE, sentence)
}

fn end_with(status: i32, sentence: &str) -> ! {
    let stderr = io::stderr();
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    // A pipe that can be written to has room for more than a sentence.
    if poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], Some(&now)) == Ok(1) {
        let line = ["snd-host: ", sentence, "\n"].map(|part| IoSlice::new(part.as_bytes()));
        let _ = rustix::io::writev(&stderr, &line);
    }
    // Handlers that C libraries have registered for the exit could wait for a thread that hangs.
    signal_hook::low_level::exit(status)
}

#[cfg(test)]
pub(super) mod tests {
    use std::env;
    use std::process::{Command, Output, Stdio};

    use super::*;

    /// Set in a process that [`alone`] has started.
    const ALONE: &str = "SND_HOST_TEST_ALONE";

    /// Runs the test with the given path again, in a process of its own, and returns what the
    /// process has printed. Returns `None` in that process.
    pub(in crate::process) fn alone(test: &str) -> Option<Output> {
        if env::var_os(ALONE).is_some() {
            return None;
        }
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture"]).env(ALONE, "1").stdin(Stdio::null());
        Some(command.output().unwrap())
    }

    /// Asserts that a process ended with `status` and has printed `sentence`.
    pub(in crate::process) fn assert_ended(output: &Output, status: i32, sentence: &str) {
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(said.contains(sentence), "{said}");
    }

    #[test]
    fn a_panic_in_any_thread_ends_the_process() {
        if let Some(output) = alone("process::fatal::tests::a_panic_in_any_thread_ends_the_process") {
            return assert_ended(&output, PANIC, "snd-host: a bug in snd-host has ended it: thread 'any'");
        }
        end_on_panic();
        thread::Builder::new().name("any".into()).spawn(|| panic!("on purpose")).unwrap();
        loop {
            thread::park();
        }
    }
}
