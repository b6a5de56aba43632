//! The daemon as a child process.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::DEADLINE;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_snd-host");

/// A running snd-host, with a directory for its socket and its files.
pub(crate) struct Daemon {
    child: Child,
    directory: TempDir,
    log: Receiver<String>,
}

/// What a process has of the system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Bytes in memory.
    pub(crate) memory: u64,
    pub(crate) threads: usize,
    pub(crate) files: usize,
}

impl Daemon {
    /// Starts it with a sink, and with a source that is nothing of the host's, and waits until it listens. `{}`
    /// stands for its directory, where it may write.
    pub(crate) fn start(sink: &str) -> Self {
        Self::start_with(&["--sink", sink, "--source", "audiotestsrc is-live=true"])
    }

    /// Starts it, and waits until it listens. `{}` stands for its directory, where it may write.
    pub(crate) fn start_with(args: &[&str]) -> Self {
        Self::launch(Command::new(PROGRAM), args, |command, directory| {
            command.arg("--socket").arg(directory.join("socket")).arg("--writable").arg(directory);
        })
    }

    /// Starts it as `command`, with what `configure` adds, and waits until it listens.
    pub(crate) fn launch(
        mut command: Command,
        args: &[&str],
        configure: impl FnOnce(&mut Command, &Path),
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        configure(&mut command, directory.path());
        let mut child = command
            .args(["--log", "snd_host=debug,info"])
            .args(args.iter().map(|arg| arg.replace("{}", directory.path().to_str().unwrap())))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, log) = mpsc::channel();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                eprintln!("{line}");
                if sender.send(line).is_err() {
                    // Nobody listens any more.
                    return;
                }
            }
        });
        let daemon = Self { child, directory, log };
        daemon.wait_for("listening on");
        daemon
    }

    /// Stops listening to what it says: soon it cannot say anything any more.
    pub(crate) fn ignore(&mut self) {
        self.log = mpsc::channel().1;
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// What the kernel tells about each of its threads.
    pub(crate) fn threads(&self) -> Vec<String> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        // A thread may end between being listed and being looked at.
        threads.flatten().flat_map(|thread| fs::read_to_string(thread.path().join("status"))).collect()
    }

    /// Waits until it says something. Returns the line.
    pub(crate) fn wait_for(&self, words: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.log.recv_timeout(left) {
                Ok(line) if line.contains(words) => return line,
                Ok(_) => {}
                Err(error) => panic!("snd-host has not said '{words}': {error}"),
            }
        }
    }

    /// What it has of the system now.
    pub(crate) fn usage(&self) -> Usage {
        let process = PathBuf::from("/proc").join(self.child.id().to_string());
        let status = fs::read_to_string(process.join("status")).unwrap();
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB")).unwrap();
        Usage {
            memory: kib.trim().parse::<u64>().unwrap() << 10,
            threads: self.threads().len(),
            files: fs::read_dir(process.join("fd")).unwrap().count(),
        }
    }

    /// Waits until all threads have ended that play and record. Returns what it has then.
    pub(crate) fn settled(&self) -> Usage {
        let deadline = Instant::now() + DEADLINE;
        while !self.threads().iter().all(|thread| is_there_for_good(thread)) {
            assert!(Instant::now() < deadline, "it goes on playing");
            // The end of a thread of another process is no event.
            thread::sleep(Duration::from_millis(10));
        }
        self.usage()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("socket")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Asks it to end, and waits until it has. Returns what it has said and nobody has waited for.
    pub(crate) fn last_words(&mut self) -> Vec<String> {
        self.signal(Signal::TERM);
        // It closes its standard error when it ends.
        let deadline = Instant::now() + DEADLINE;
        let left = || deadline.saturating_duration_since(Instant::now());
        let said = std::iter::from_fn(|| self.log.recv_timeout(left()).ok()).collect();
        assert!(Instant::now() < deadline, "snd-host does not end");
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
        said
    }

    /// Asks it to end, and waits until it has. Returns the directory, to look at what it has left.
    pub(crate) fn end(mut self) -> TempDir {
        self.last_words();
        std::mem::replace(&mut self.directory, tempfile::tempdir().unwrap())
    }
}

/// The threads of a session in which no stream does anything.
const FOR_GOOD: [&str; 4] = ["snd-host", "signals", "session", "vring_worker"];

/// Whether a thread, by what the kernel tells about it, is one that does not come and go with a stream.
fn is_there_for_good(thread: &str) -> bool {
    let name = thread.lines().next().and_then(|line| line.strip_prefix("Name:"));
    name.is_some_and(|name| FOR_GOOD.contains(&name.trim()))
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl AsRef<Path> for Daemon {
    fn as_ref(&self) -> &Path {
        self.directory.path()
    }
}
