//! snd-host as a child process.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::DEADLINE;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_snd-host");

/// A running snd-host with a directory for its files. Dropping the value kills the process.
pub(crate) struct Daemon {
    child: Child,
    directory: TempDir,
    log: Receiver<String>,
}

/// The resources that a process holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Resident bytes.
    pub(crate) memory: u64,
    pub(crate) threads: usize,
    pub(crate) files: usize,
}

impl Daemon {
    /// Starts snd-host with a sink and with a test source, and waits until snd-host listens. `{}`
    /// in `sink` stands for the daemon's directory, which is writable.
    pub(crate) fn start(sink: &str) -> Self {
        Self::start_with(&["--sink", sink, "--source", "audiotestsrc is-live=true"])
    }

    /// Starts snd-host with `args` and waits until snd-host listens. `{}` in an argument stands for
    /// the daemon's directory, which is writable.
    pub(crate) fn start_with(args: &[&str]) -> Self {
        Self::launch(Command::new(PROGRAM), args, |command, directory| {
            command.arg("--socket").arg(directory.join("socket")).arg("--writable").arg(directory);
        })
    }

    /// Starts `command` with `args` and `configure`'s additions, and waits until the process
    /// listens.
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
                    // The daemon value is gone, or its log is ignored.
                    return;
                }
            }
        });
        let daemon = Self { child, directory, log };
        daemon.wait_for("listening on");
        daemon
    }

    /// Closes the reading end of the log. The process's later writes to standard error fail.
    pub(crate) fn close_log(&mut self) {
        self.log = mpsc::channel().1;
    }

    /// Sends the process a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Returns `/proc/PID/task/TID/status` of each thread.
    pub(crate) fn threads(&self) -> Vec<String> {
        self.thread_files("status")
    }

    /// Returns the contents of `/proc/PID/task/TID/FILE` of each thread.
    pub(crate) fn thread_files(&self, file: &str) -> Vec<String> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        // A thread may end after it was listed.
        threads.flatten().flat_map(|thread| fs::read_to_string(thread.path().join(file))).collect()
    }

    /// Waits for a log line that contains `words`, and returns that line.
    pub(crate) fn wait_for(&self, words: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.log.recv_timeout(left) {
                Ok(line) if line.contains(words) => return line,
                Ok(_) => {}
                Err(error) => panic!("snd-host has not logged '{words}': {error}"),
            }
        }
    }

    /// Returns the resources that the process holds now.
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

    /// Waits until all threads that play or record have ended, and returns the resources held then.
    pub(crate) fn settled(&self) -> Usage {
        let deadline = Instant::now() + DEADLINE;
        while !self.threads().iter().all(|thread| is_permanent(thread)) {
            assert!(Instant::now() < deadline, "threads of streams are still running");
            // The kernel reports no event when a thread of another process ends.
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

    /// Sends SIGTERM and waits for the end of the process. Returns the unread lines of the log.
    pub(crate) fn terminate(&mut self) -> Vec<String> {
        self.signal(Signal::TERM);
        // The process closes its standard error when it ends.
        let deadline = Instant::now() + DEADLINE;
        let left = || deadline.saturating_duration_since(Instant::now());
        let log = std::iter::from_fn(|| self.log.recv_timeout(left()).ok()).collect();
        assert!(Instant::now() < deadline, "snd-host has not ended within {DEADLINE:?}");
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
        log
    }

    /// Waits until the process has ended by itself.
    pub(crate) fn wait_for_end(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Sends SIGTERM and waits until the process has ended. Returns the directory with its files.
    pub(crate) fn end(mut self) -> TempDir {
        self.terminate();
        std::mem::replace(&mut self.directory, tempfile::tempdir().unwrap())
    }
}

/// The names of the threads that a session without a running stream has.
const PERMANENT: [&str; 5] = ["snd-host", "signals", "reports", "session", "vring_worker"];

/// Returns whether the thread with this status exists independently of streams.
fn is_permanent(status: &str) -> bool {
    let name = status.lines().next().and_then(|line| line.strip_prefix("Name:"));
    name.is_some_and(|name| PERMANENT.contains(&name.trim()))
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
