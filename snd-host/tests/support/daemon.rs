//! snd-host as a child process.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
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

/// The resources that processes hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Bytes of anonymous memory, and of the shared areas of takes.
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

    /// Returns the number of the card process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the number of the audio process, once there is one.
    pub(crate) fn audio(&self) -> u32 {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(process) = self.audio_if_any() {
                return process;
            }
            assert!(Instant::now() < deadline, "there is no audio process");
            // The kernel reports no event when another process starts one.
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Returns the number of the audio process, if there is one: the child of the launcher, which
    /// is the child of the card process.
    pub(crate) fn audio_if_any(&self) -> Option<u32> {
        let launcher = *children(self.id()).first()?;
        children(launcher).into_iter().find(|process| {
            let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
            name.trim() == "snd-host-audio" && runs(*process)
        })
    }

    /// Limits the size of the files that the current and later audio processes write: the kernel
    /// ends a process that writes more (SIGXFSZ).
    pub(crate) fn limit_files(&self, bytes: u64) {
        let launcher = children(self.id())[0];
        for process in [launcher, self.audio()] {
            let process = Pid::from_raw(process.try_into().unwrap());
            for (resource, bytes) in [(Resource::Fsize, bytes), (Resource::Core, 0)] {
                let Rlimit { maximum, .. } = getrlimit(resource);
                prlimit(process, resource, Rlimit { current: Some(bytes), maximum }).unwrap();
            }
        }
    }

    /// Kills the launcher, and waits until the card process and the audio process have ended.
    /// Returns the status of the card process.
    pub(crate) fn kill_launcher(&mut self) -> ExitStatus {
        let (launcher, audio) = (children(self.id())[0], self.audio());
        kill_process(Pid::from_raw(launcher.try_into().unwrap()).unwrap(), Signal::KILL).unwrap();
        let status = self.wait_for_end();
        let deadline = Instant::now() + DEADLINE;
        while runs(audio) {
            assert!(Instant::now() < deadline, "the audio process runs without a card process");
            // The kernel reports no event when a process ends whose parent is another one.
            thread::sleep(Duration::from_millis(1));
        }
        status
    }

    /// Sends the audio process a signal.
    pub(crate) fn signal_audio(&self, signal: Signal) {
        let process = Pid::from_raw(self.audio().try_into().unwrap()).unwrap();
        kill_process(process, signal).unwrap();
    }

    /// Returns `/proc/PID/task/TID/status` of each thread of the card and the audio process.
    pub(crate) fn threads(&self) -> Vec<String> {
        self.thread_files("status")
    }

    /// Returns the contents of `/proc/PID/task/TID/FILE` of each thread of both processes.
    pub(crate) fn thread_files(&self, file: &str) -> Vec<String> {
        [self.id(), self.audio()].into_iter().flat_map(|process| thread_files(process, file)).collect()
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

    /// Returns the lines that were logged since the last look at the log.
    pub(crate) fn logged(&self) -> Vec<String> {
        self.log.try_iter().collect()
    }

    /// Returns the resources that both processes hold now. Shared memory counts once.
    pub(crate) fn usage(&self) -> Usage {
        let processes = [self.id(), self.audio()];
        let [card, audio] = processes.map(usage);
        Usage {
            memory: card.memory + audio.memory + shared_areas(&processes),
            threads: card.threads + audio.threads,
            files: card.files + audio.files,
        }
    }

    /// Returns the resources that the card process holds now.
    pub(crate) fn card_usage(&self) -> Usage {
        let card = usage(self.id());
        Usage { memory: card.memory + shared_areas(&[self.id()]), ..card }
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

    /// Waits until all takes have ended. Threads that GStreamer has leaked may be left.
    pub(crate) fn wait_until_no_take_runs(&self) {
        let deadline = Instant::now() + DEADLINE;
        while self.threads().iter().any(|thread| thread.starts_with("Name:\taudio ")) {
            assert!(Instant::now() < deadline, "takes have not ended");
            // The kernel reports no event when a thread of another process ends.
            thread::sleep(Duration::from_millis(10));
        }
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

/// Returns the processes that the main thread of a process has started.
fn children(process: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    children.split_whitespace().map(|child| child.parse().unwrap()).collect()
}

/// Returns whether a process exists and has not ended.
fn runs(process: u32) -> bool {
    fs::read_to_string(format!("/proc/{process}/maps")).is_ok_and(|maps| !maps.is_empty())
}

/// Returns the contents of `/proc/PID/task/TID/FILE` of each thread of a process.
fn thread_files(process: u32, file: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    // A thread may end after it was listed.
    threads.flatten().flat_map(|thread| fs::read_to_string(thread.path().join(file))).collect()
}

/// Returns the resources of a process, with the memory that no other process has.
fn usage(process: u32) -> Usage {
    let directory = PathBuf::from("/proc").join(process.to_string());
    let rollup = fs::read_to_string(directory.join("smaps_rollup")).unwrap();
    // Not the pages of programs and libraries, which many processes share.
    let anonymous =
        rollup.lines().find_map(|line| line.strip_prefix("Pss_Anon:")?.trim().strip_suffix(" kB"));
    Usage {
        memory: anonymous.unwrap().parse::<u64>().unwrap() << 10,
        threads: thread_files(process, "status").len(),
        files: fs::read_dir(directory.join("fd")).unwrap().count(),
    }
}

/// Returns the bytes in the shared areas of takes that processes have open, each area counted once.
/// An area keeps its pages as long as any process has the file open, whether mapped or not.
fn shared_areas(processes: &[u32]) -> u64 {
    let files = processes.iter().flat_map(|process| fs::read_dir(format!("/proc/{process}/fd")).unwrap());
    let files = files.flatten().map(|file| file.path());
    let areas = files.filter(|file| {
        fs::read_link(file).is_ok_and(|target| target.to_string_lossy().contains("snd-host-take"))
    });
    // A file may be closed after it was listed.
    let areas = areas.filter_map(|file| fs::metadata(file).ok());
    let areas: HashMap<u64, u64> = areas.map(|area| (area.ino(), area.blocks() * 512)).collect();
    areas.values().sum()
}

/// The names of the threads that a session without a running stream has.
const PERMANENT: [&str; 7] =
    ["snd-host", "signals", "reports", "session", "vring_worker", "keeper", "snd-host-audio"];

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
