//! Builds the programs of the implementations, and sends commands to them.

use std::env;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

/// Flags that raise LLVM's threshold for inlining about fourfold. With these flags, virtio-queue,
/// which is generic over vm-memory, takes 40 % fewer instructions, and no implementation takes
/// more. `Cargo.toml` has the other options of the build: `lto = "fat"` and one codegen unit.
const FLAGS: &str = "-Cllvm-args=-inline-threshold=1000";

/// Builds all programs, once. Prints cargo's errors.
///
/// # Errors
///
/// If cargo cannot be run, or a program cannot be built.
pub(crate) fn build() -> Result<(), String> {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    BUILT.get_or_init(run_cargo).clone()
}

fn run_cargo() -> Result<(), String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--package=rivals", "--bins", "--profile=rivals", "--target-dir"]);
    // The flags need a target directory of their own; otherwise each build would rebuild what the
    // other has built.
    command.arg(directory()).env("RUSTFLAGS", FLAGS);
    let status = command.status().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed; its output is above")) }
}

/// Returns the path of a program.
pub(crate) fn path(program: &str) -> PathBuf {
    directory().join("rivals").join(program)
}

fn directory() -> PathBuf {
    target_directory().unwrap_or_else(|| "target".into()).join("rivals")
}

/// Returns the target directory of this program.
pub(crate) fn target_directory() -> Option<PathBuf> {
    Some(env::current_exe().ok()?.ancestors().nth(3)?.to_owned())
}

/// Returns the names of all cases that a program supports, such as `throughput/both/1`.
pub(crate) fn cases(program: &str) -> io::Result<Vec<String>> {
    let output = Command::new(path(program)).arg("cases").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

/// A running program.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Running {
    /// Starts a program and prepares a case, whose name contains the group.
    pub(crate) fn start(program: &str, case: &str) -> io::Result<Self> {
        let mut child = Command::new(path(program)).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(commands), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let mut running = Self { child, commands, answers: BufReader::new(answers) };
        match running.ask(&format!("prepare {case}"))?.as_str() {
            "ready" => Ok(running),
            answer => Err(io::Error::other(format!("{program} answered {answer} to {case}"))),
        }
    }

    /// Sends a command and returns the answer.
    pub(crate) fn ask(&mut self, command: &str) -> io::Result<String> {
        writeln!(self.commands, "{command}")?;
        self.commands.flush()?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        Ok(answer.trim_end().to_owned())
    }

    /// Runs iterations and returns the time.
    ///
    /// # Panics
    ///
    /// If the program has failed.
    pub(crate) fn time(&mut self, iterations: u64) -> Duration {
        let answer = self.ask(&format!("time {iterations}")).expect("the program runs");
        Duration::from_nanos(answer.parse().expect("the program answers with a number"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
