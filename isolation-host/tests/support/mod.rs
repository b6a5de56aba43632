//! A VMM with a guest, and a device, both small enough to misbehave in any way a test wants.

#![expect(dead_code, reason = "each test program uses what it needs of it")]

pub(crate) mod device;
pub(crate) mod guest;

use std::io::{BufRead as _, BufReader};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use device::{Offer, TestDevice};
use guest::TestGuest;
use ring_core::Features;
use tempfile::TempDir;

/// How long anything may take. Only a test that fails takes so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The ring formats of a guest, with and without event indices.
pub(crate) const FORMATS: [Features; 4] = [
    Features::empty(),
    Features::RING_PACKED,
    Features::EVENT_IDX,
    Features::RING_PACKED.union(Features::EVENT_IDX),
];

/// The program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_isolation-host");

/// A running isolation-host. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Host {
    command: Command,
    process: Child,
    log: Receiver<String>,
    lines: Vec<String>,
    directory: TempDir,
}

impl Host {
    /// Starts it. It looks for its device in the directory and waits for VMMs there.
    pub(crate) fn start(directory: TempDir, options: &[&str]) -> Self {
        let vmm = format!("listen:{}", directory.path().join("vmm.sock").display());
        let mut command = Command::new(PROGRAM);
        command.args(["--vmm", &vmm]).args(options);
        Self::run(directory, command)
    }

    /// Starts it by another command, to which what all of them need is added.
    pub(crate) fn run(directory: TempDir, mut command: Command) -> Self {
        let device = format!("connect:{}", directory.path().join("device.sock").display());
        command
            .args(["--device-socket", &device, "--log", "debug"])
            .env("NO_COLOR", "1")
            .stderr(Stdio::piped());
        let (process, log) = spawn(&mut command);
        Self { command, process, log, lines: Vec::new(), directory }
    }

    /// Kills it with no chance to do anything, and starts it again.
    pub(crate) fn restart(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        (self.process, self.log) = spawn(&mut self.command);
    }

    /// Where VMMs connect.
    pub(crate) fn vmm_socket(&self) -> PathBuf {
        self.directory.path().join("vmm.sock")
    }

    /// Where it looks for its device.
    pub(crate) fn device_socket(&self) -> PathBuf {
        self.directory.path().join("device.sock")
    }

    /// Connects as a VMM.
    pub(crate) fn connect(&self) -> UnixStream {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match UnixStream::connect(self.vmm_socket()) {
                Ok(stream) => return stream,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            std::thread::yield_now();
        }
    }

    /// Waits for a line in the log that has this in it.
    pub(crate) fn wait_for(&mut self, what: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let line = self.log.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            let line = line.unwrap_or_else(|_| panic!("no {what:?} in the log:\n{}", self.lines.join("\n")));
            self.lines.push(line.clone());
            if line.contains(what) {
                return line;
            }
        }
    }

    /// All that it has logged and nobody has waited for.
    pub(crate) fn new_lines(&mut self) -> Vec<String> {
        let new: Vec<String> = self.log.try_iter().collect();
        self.lines.extend(new.iter().cloned());
        new
    }

    /// How many of them are warnings.
    pub(crate) fn new_warnings(&mut self) -> usize {
        self.new_lines().iter().filter(|line| line.contains("WARN")).count()
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// The process id.
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

/// A host with a guest that uses these features and a device that offers those, and queue 0 started.
pub(crate) fn started(features: Features, offer: Offer, options: &[&str]) -> Parts {
    let directory = tempfile::tempdir().unwrap();
    let listener = TestDevice::listen(directory.path());
    let host = Host::start(directory, options);
    let accepting = std::thread::spawn(move || {
        let mut device = TestDevice::accept(&listener, offer);
        let queue = device.serve_until_started(0);
        (listener, device, queue)
    });
    let mut guest = TestGuest::new(host.connect(), features);
    let driver = guest.start(0);
    let (listener, device, queue) = accepting.join().unwrap();
    Parts { host, guest, driver, device, queue, listener }
}

/// All that takes part in a test.
pub(crate) struct Parts {
    pub(crate) host: Host,
    pub(crate) guest: TestGuest,
    pub(crate) driver: guest::Queue,
    pub(crate) device: TestDevice,
    pub(crate) queue: device::Queue,
    pub(crate) listener: UnixListener,
}
