//! A VMM with a guest, and a device. Tests can make both break any rule.

#![expect(dead_code, reason = "each test program uses a part of this module")]

pub(crate) mod device;
pub(crate) mod guest;
pub(crate) mod started;
pub(crate) mod stepped;

use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The limit for every wait. Only a test that fails reaches the limit.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

/// The path of the isolation-host program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_isolation-host");

/// A running isolation-host, which is killed on drop.
#[derive(Debug)]
pub(crate) struct Host {
    command: Command,
    process: Child,
    log: Receiver<String>,
    lines: Vec<String>,
    directory: TempDir,
}

impl Host {
    /// Starts isolation-host, which connects to a device and listens for VMMs in `directory`.
    pub(crate) fn start(directory: TempDir, options: &[&str]) -> Self {
        let vmm = format!("listen:{}", directory.path().join("vmm.sock").display());
        let mut command = Command::new(PROGRAM);
        command.args(["--vmm", &vmm]).args(options);
        Self::run(directory, command)
    }

    /// Starts isolation-host by `command`, to which the options for the device and the log are
    /// added.
    pub(crate) fn run(directory: TempDir, mut command: Command) -> Self {
        let device = format!("connect:{}", directory.path().join("device.sock").display());
        command.args(["--device-socket", &device, "--log", "debug"]).stderr(Stdio::piped());
        let (process, log) = spawn(&mut command);
        Self { command, process, log, lines: Vec::new(), directory }
    }

    /// Kills the process with SIGKILL and starts it again.
    pub(crate) fn restart(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        (self.process, self.log) = spawn(&mut self.command);
    }

    /// Returns the socket for VMMs.
    pub(crate) fn vmm_socket(&self) -> PathBuf {
        self.directory.path().join("vmm.sock")
    }

    /// Returns the socket of the device.
    pub(crate) fn device_socket(&self) -> PathBuf {
        self.directory.path().join("device.sock")
    }

    /// Connects as a VMM.
    pub(crate) fn connect(&self) -> UnixStream {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            match UnixStream::connect(self.vmm_socket()) {
                Ok(stream) => return stream,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            std::thread::yield_now();
        }
    }

    /// Waits for a log line that contains `what`, and returns the line.
    pub(crate) fn wait_for(&mut self, what: &str) -> String {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let line = self.log.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            let line = line.unwrap_or_else(|_| panic!("no {what:?} in the log:\n{}", self.lines.join("\n")));
            self.lines.push(line.clone());
            if line.contains(what) {
                return line;
            }
        }
    }

    /// Returns the log lines since the last call or wait.
    pub(crate) fn new_lines(&mut self) -> Vec<String> {
        let new: Vec<String> = self.log.try_iter().collect();
        self.lines.extend(new.iter().cloned());
        new
    }

    /// Returns how many of the new log lines are warnings.
    pub(crate) fn new_warnings(&mut self) -> usize {
        self.new_lines().iter().filter(|line| line.contains("WARN")).count()
    }

    /// Returns whether the process still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// Waits until the process ends. Returns whether it succeeded.
    pub(crate) fn ends_well(&mut self) -> bool {
        self.process.wait().unwrap().success()
    }

    /// Returns the process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

fn spawn(command: &mut Command) -> (Child, Receiver<String>) {
    let mut process = command.spawn().unwrap();
    let (sender, log) = channel();
    let stderr = BufReader::new(process.stderr.take().unwrap());
    std::thread::spawn(move || {
        stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)).ok();
    });
    (process, log)
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
