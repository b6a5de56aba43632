//! snd-host as a child process.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use end_to_end::audio_process::{audio_process, launcher, signal};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use tempfile::TempDir;

use super::DEADLINE;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_snd-host");

/// A running snd-host with a directory for its files. Dropping the value kills the process.
pub(crate) struct Daemon {
    child: Child,
    directory: TempDir,
    log: Receiver<String>,
    /// The numbers of the takes that were opened and not closed, in the lines read so far.
    takes: RefCell<HashSet<String>>,
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
        let daemon = Self { child, directory, log, takes: RefCell::default() };
        daemon.wait_for("listening on");
        daemon
    }

    /// Closes the reading end of the log. The process's later writes to standard error fail.
    pub(crate) fn close_log(&mut self) {
        self.log = mpsc::channel().1;
    }

    /// Sends the process a signal.
    pub(crate) fn signal(&self, number: Signal) {
        kill_process(Pid::from_child(&self.child), number).unwrap();
    }

    /// Returns the number of the card process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the number of the audio process, once there is one.
    pub(crate) fn audio(&self) -> u32 {
        loop {
            match self.audio_if_any() {
                Some(process) => return process,
                None => self.wait_for("the audio process is ready"),
            };
        }
    }

    /// Returns the number of the audio process, if there is one.
    pub(crate) fn audio_if_any(&self) -> Option<u32> {
        audio_process(self.id())
    }

    /// Kills the launcher, and waits until the card process and the audio process have ended.
    /// Returns the status of the card process.
    pub(crate) fn kill_launcher(&mut self) -> ExitStatus {
        let audio = Pid::from_raw(self.audio().try_into().unwrap()).unwrap();
        let audio = pidfd_open(audio, PidfdFlags::empty()).unwrap();
        signal(launcher(self.id()).unwrap(), Signal::KILL).unwrap();
        let status = self.wait_for_end();
        let timeout = DEADLINE.try_into().unwrap();
        let ended = poll(&mut [PollFd::new(&audio, PollFlags::IN)], Some(&timeout));
        assert_eq!(ended, Ok(1), "the audio process runs without a card process");
        status
    }

    /// Sends the audio process a signal.
    pub(crate) fn signal_audio(&self, number: Signal) {
        signal(self.audio(), number).unwrap();
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
        self.wait_for_line(&format!("snd-host has not logged '{words}'"), |line| line.contains(words))
    }

    /// Waits for a line that `is_it` accepts. Panics with `otherwise` if there is none.
    fn wait_for_line(&self, otherwise: &str, is_it: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.log.recv_timeout(left) {
                Ok(line) => {
                    self.note_take(&line);
                    if is_it(&line) {
                        return line;
                    }
                }
                Err(error) => panic!("{otherwise}: {error}"),
            }
        }
    }

    /// Takes note of a line that says that a take was opened or closed.
    fn note_take(&self, line: &str) {
        if let Some((_, take)) = line.split_once(" take opened take=") {
            self.takes.borrow_mut().insert(take.to_owned());
        } else if let Some((_, take)) = line.split_once(" take closed take=") {
            self.takes.borrow_mut().remove(take);
        }
    }

    /// Returns the lines that were logged since the last look at the log.
    pub(crate) fn logged(&self) -> Vec<String> {
        self.log.try_iter().inspect(|line| self.note_take(line)).collect()
    }

    /// Returns the resources that both processes hold now. Shared memory counts once.
    pub(crate) fn usage(&self) -> Usage {
        let deadline = Instant::now() + DEADLINE;
        loop {
            // The audio process may be replaced meanwhile.
            match self.usage_with(self.audio()) {
                Ok(usage) => return usage,
                Err(error) => {
                    assert!(Instant::now() < deadline, "cannot read what a process holds: {error}");
                }
            }
        }
    }

    fn usage_with(&self, audio: u32) -> io::Result<Usage> {
        let processes = [self.id(), audio];
        let [card, audio] = processes.map(usage);
        let (card, audio) = (card?, audio?);
        Ok(Usage {
            memory: card.memory + audio.memory + shared_areas(&processes)?,
            threads: card.threads + audio.threads,
            files: card.files + audio.files,
        })
    }

    /// Returns the resources that the card process holds now.
    pub(crate) fn card_usage(&self) -> Usage {
        let card = usage(self.id()).unwrap();
        Usage { memory: card.memory + shared_areas(&[self.id()]).unwrap(), ..card }
    }

    /// Waits until all takes are closed and their threads have ended. Returns the resources that
    /// are held then.
    pub(crate) fn settled(&self) -> Usage {
        self.wait_until_takes_are_closed();
        let deadline = Instant::now() + DEADLINE;
        while !self.threads().iter().all(|thread| is_permanent(thread)) {
            assert!(Instant::now() < deadline, "threads of streams are still running");
            // The kernel reports no event when a thread of another process ends. The threads end
            // after their takes, and GLib ends unused threads by itself.
            thread::sleep(Duration::from_millis(10));
        }
        self.usage()
    }

    /// Waits until the card process has closed all takes. Threads that GStreamer has leaked may be
    /// left.
    pub(crate) fn wait_until_takes_are_closed(&self) {
        // The report follows the lines of the takes that were opened before.
        self.signal(Signal::USR1);
        self.wait_for_line("snd-host has not reported its state", ends_report);
        if !self.takes.borrow().is_empty() {
            self.wait_for_line("takes are still open", |_| self.takes.borrow().is_empty());
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

/// Returns the contents of `/proc/PID/task/TID/FILE` of each thread of a process.
fn thread_files(process: u32, file: &str) -> Vec<String> {
    // The process, or a thread after it was listed, may end.
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    threads.flat_map(|thread| fs::read_to_string(thread.path().join(file))).collect()
}

/// Returns the resources of a process, with the memory that no other process has.
fn usage(process: u32) -> io::Result<Usage> {
    let directory = PathBuf::from("/proc").join(process.to_string());
    let rollup = fs::read_to_string(directory.join("smaps_rollup"))?;
    // Not the pages of programs and libraries, which many processes share.
    let anonymous =
        rollup.lines().find_map(|line| line.strip_prefix("Pss_Anon:")?.trim().strip_suffix(" kB"));
    // A process that has ended has no memory.
    let anonymous = anonymous.and_then(|kib| kib.parse::<u64>().ok()).ok_or(io::ErrorKind::NotFound)?;
    Ok(Usage {
        memory: anonymous << 10,
        threads: thread_files(process, "status").len(),
        files: fs::read_dir(directory.join("fd"))?.count(),
    })
}

/// Returns the bytes in the shared areas of takes that processes have open, each area counted once.
/// An area keeps its pages as long as any process has the file open, whether mapped or not.
fn shared_areas(processes: &[u32]) -> io::Result<u64> {
    let files = processes.iter().map(|process| fs::read_dir(format!("/proc/{process}/fd")));
    let files =
        files.collect::<io::Result<Vec<_>>>()?.into_iter().flatten().flatten().map(|file| file.path());
    let areas = files.filter(|file| {
        fs::read_link(file).is_ok_and(|target| target.to_string_lossy().contains("snd-host-take"))
    });
    // A file may be closed after it was listed.
    let areas = areas.filter_map(|file| fs::metadata(file).ok());
    let areas: HashMap<u64, u64> = areas.map(|area| (area.ino(), area.blocks() * 512)).collect();
    Ok(areas.values().sum())
}

/// Returns whether a line is the last one of a report of a card with two streams, or without a
/// session.
fn ends_report(line: &str) -> bool {
    ["snd-host: stream 1 ", "snd-host: no front-end"].iter().any(|end| line.starts_with(end))
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
