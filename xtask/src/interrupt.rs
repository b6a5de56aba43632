//! Ends the processes of a task when this program is interrupted.

use std::collections::HashSet;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::process::{Pid, Signal, getpid, kill_process, set_child_subreaper};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use crate::process_tree::{self, Process};

/// The signals that end processes, each with the time that the processes then have.
const SIGNALS: [(Signal, Duration); 3] = [
    (Signal::INT, Duration::from_secs(5)),
    (Signal::TERM, Duration::from_secs(5)),
    (Signal::KILL, Duration::from_secs(5)),
];
/// The time after which the processes that still run are printed.
const REPORT_AFTER: Duration = Duration::from_secs(1);
/// The time between two looks at the processes. Polling is necessary, because a process can wait
/// only for its children.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Whether this program was interrupted.
static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Handles SIGINT and SIGTERM from now on: a thread ends all processes below this process, waits
/// for them, and exits.
pub(crate) fn handle() -> Result<()> {
    for signal in [SIGINT, SIGTERM] {
        flag::register(signal, Arc::clone(&INTERRUPTED))?;
    }
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            end_processes();
            process::exit(128 + signal);
        }
    });
    Ok(())
}

/// Returns if this program was not interrupted. Otherwise, waits until the program exits.
///
/// Called at the end of a command, so that an interrupt is not taken for a failure of the command.
pub(crate) fn wait_if_interrupted() {
    while INTERRUPTED.load(Ordering::Relaxed) {
        thread::park();
    }
}

/// Ends all processes below this process and waits for them.
///
/// dpkg and its scripts are not signalled and run to their end, so that no package stays half
/// installed. apt-get is interrupted, and then starts no other dpkg. This process may not signal
/// processes of root, but a terminal does.
fn end_processes() {
    // A process whose parent ends becomes a child of this process, and is found again. If this call
    // fails, such a process is not waited for.
    let _ = set_child_subreaper(Some(getpid()));
    let (start, mut reported) = (Instant::now(), false);
    let mut running = Running::now();
    for (signal, grace) in SIGNALS {
        let (sent, mut signalled) = (Instant::now(), HashSet::new());
        while !running.all.is_empty() && (running.has_dpkg() || sent.elapsed() < grace) {
            // The main thread may start commands until the first command that fails.
            running.end(signal, &mut signalled);
            if !reported && start.elapsed() > REPORT_AFTER {
                eprintln!("\ninterrupted; waiting for the end of {}", running.names());
                reported = true;
            }
            thread::sleep(LOOK_EVERY);
            running = Running::now();
        }
    }
    if !running.all.is_empty() {
        eprintln!("{} did not end and cannot be killed", running.names());
    }
}

/// The processes below this process.
struct Running {
    all: Vec<Process>,
}

impl Running {
    fn now() -> Self {
        let own = getpid().as_raw_nonzero().get();
        Self { all: process_tree::below(&process_tree::all(), vec![own]) }
    }

    /// Signals all processes that are not in `signalled`, except dpkg and the processes below dpkg.
    fn end(&self, signal: Signal, signalled: &mut HashSet<i32>) {
        let dpkg = self.dpkg();
        let below = process_tree::below(&self.all, dpkg.clone());
        let others = self.all.iter().filter(|it| !dpkg.contains(&it.id) && !below.contains(it));
        for process in others.filter(|process| signalled.insert(process.id)) {
            if let Some(id) = Pid::from_raw(process.id) {
                // A process that has ended, or runs as root, cannot be signalled.
                let _ = kill_process(id, signal);
            }
        }
    }

    fn has_dpkg(&self) -> bool {
        !self.dpkg().is_empty()
    }

    fn dpkg(&self) -> Vec<i32> {
        self.all.iter().filter(|process| process.name == "dpkg").map(|process| process.id).collect()
    }

    fn names(&self) -> String {
        let names = self.all.iter().map(|process| format!("{} (process {})", process.name, process.id));
        names.collect::<Vec<_>>().join(", ")
    }
}
