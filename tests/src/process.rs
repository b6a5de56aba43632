//! A child process that is watched, waited for with a deadline, and never left behind.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, PipeReader, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use thiserror::Error;

/// How much of a log an error shows.
const TAIL_LINES: usize = 30;

/// A running program, with all it has written so far. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    log: Vec<String>,
}

/// What can go wrong with a child process.
#[derive(Debug, Error)]
pub enum ProcessError {
    /// It did not start.
    #[error("{program} does not start")]
    Start {
        /// What was to run.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// The system refused to watch or signal it.
    #[error("{program} cannot be watched")]
    Watch {
        /// What runs.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// The deadline passed.
    #[error("{program} took too long; the last it wrote:\n{tail}")]
    Overdue {
        /// What still ran.
        program: String,
        /// The end of its log.
        tail: String,
    },
}

impl Process {
    /// Starts a program with its output and errors, interleaved, going to the log.
    ///
    /// It does not outlive the thread that starts it, even if that thread is killed.
    ///
    /// # Errors
    /// If no process starts. A program that is not there is a process that ends at once and says so.
    pub fn start(
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item: AsRef<OsStr>>,
    ) -> Result<Self, ProcessError> {
        Self::start_with(Stdio::null(), program, arguments)
    }

    /// The same for a program that takes orders on its standard input.
    ///
    /// # Errors
    /// If no process starts.
    pub fn start_for_orders(
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item: AsRef<OsStr>>,
    ) -> Result<Self, ProcessError> {
        Self::start_with(Stdio::piped(), program, arguments)
    }

    fn start_with(
        input: Stdio,
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item: AsRef<OsStr>>,
    ) -> Result<Self, ProcessError> {
        let name = program.as_ref().display().to_string();
        Self::spawn(input, program.as_ref(), arguments)
            .map(|(mut child, output)| Self {
                name: name.clone(),
                input: child.stdin.take(),
                child,
                lines: lines_of(output),
                log: Vec::new(),
            })
            .map_err(|source| ProcessError::Start { program: name, source })
    }

    fn spawn(
        input: Stdio,
        program: &OsStr,
        arguments: impl IntoIterator<Item: AsRef<OsStr>>,
    ) -> io::Result<(Child, PipeReader)> {
        let (output, writer) = io::pipe()?;
        // `Drop` does not run in a test that is killed; the kernel's parent-death signal does its
        // work then. setpriv turns into the program, so the process id is the program's.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .args(arguments)
            .stdin(input)
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .spawn()?;
        Ok((child, output))
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Gives an order to a program that was started for orders.
    ///
    /// # Errors
    /// If it does not take it.
    pub fn order(&mut self, line: &str) -> Result<(), ProcessError> {
        let written = self.input.as_mut().map(|input| writeln!(input, "{line}"));
        written
            .unwrap_or_else(|| Err(io::ErrorKind::BrokenPipe.into()))
            .map_err(|source| self.unwatchable(source))
    }

    /// The next line that it writes; `None` when it has closed its output.
    ///
    /// # Errors
    /// If the deadline passes first.
    pub fn next_line(&mut self, deadline: Instant) -> Result<Option<&str>, ProcessError> {
        match self.lines.recv_timeout(remaining(deadline)) {
            Ok(line) => {
                self.log.push(line);
                Ok(self.log.last().map(String::as_str))
            }
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => Err(self.overdue()),
        }
    }

    /// Waits until the program ends.
    ///
    /// # Errors
    /// If the deadline passes first.
    pub fn wait(&mut self, deadline: Instant) -> Result<ExitStatus, ProcessError> {
        self.ended_by(deadline)?.ok_or_else(|| self.overdue())
    }

    /// Waits until the program ends or the deadline passes, whichever is first.
    ///
    /// # Errors
    /// If the system refuses to watch it.
    pub fn ended_by(&mut self, deadline: Instant) -> Result<Option<ExitStatus>, ProcessError> {
        self.poll_until(deadline).map_err(|source| self.unwatchable(source))
    }

    fn poll_until(&mut self, deadline: Instant) -> io::Result<Option<ExitStatus>> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(Some(status));
        }
        let process = pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty())?;
        let timeout = Timespec::try_from(remaining(deadline)).map_err(io::Error::other)?;
        poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&timeout))?;
        self.child.try_wait()
    }

    /// Asks the program to end, as a service manager would: SIGTERM.
    ///
    /// # Errors
    /// If the signal cannot be sent.
    pub fn terminate(&mut self) -> Result<(), ProcessError> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)
            .map_err(|source| self.unwatchable(source.into()))
    }

    /// Kills the program and waits until it is gone: SIGKILL.
    ///
    /// # Errors
    /// If it cannot be killed.
    pub fn kill(&mut self) -> Result<(), ProcessError> {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed.map(drop).map_err(|source| self.unwatchable(source))
    }

    /// All that the program has written so far.
    pub fn log(&mut self) -> &[String] {
        self.log.extend(self.lines.try_iter());
        &self.log
    }

    /// All that the program writes until it closes its output, which may be after it has ended.
    ///
    /// # Errors
    /// If the deadline passes first.
    pub fn whole_log(&mut self, deadline: Instant) -> Result<&[String], ProcessError> {
        while self.next_line(deadline)?.is_some() {}
        Ok(&self.log)
    }

    /// The last lines of the log, for an error message.
    pub fn tail(&mut self) -> String {
        let log = self.log();
        log[log.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    fn overdue(&mut self) -> ProcessError {
        ProcessError::Overdue { program: self.name.clone(), tail: self.tail() }
    }

    fn unwatchable(&self, source: io::Error) -> ProcessError {
        ProcessError::Watch { program: self.name.clone(), source }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Either fails only if the process has ended and been waited for: what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads in a thread, so that a reader can wait with a deadline and the writer never blocks.
fn lines_of(output: PipeReader) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        // A serial console is not always UTF-8, so lines are read as bytes.
        while let Ok(1..) = output.read_until(b'\n', &mut line) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            if sender.send(text).is_err() {
                break;
            }
            line.clear();
        }
    });
    lines
}

fn remaining(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    fn shell(script: &str) -> Process {
        Process::start("sh", ["-c", script]).expect("every system has a shell")
    }

    #[test]
    fn output_and_errors_are_one_log_in_order() {
        let mut process = shell("echo one; echo two >&2; echo three");
        assert!(process.wait(soon()).is_ok_and(|status| status.success()));
        let log = process.whole_log(soon());
        assert!(log.is_ok_and(|log| log == ["one", "two", "three"]));
    }

    #[test]
    fn a_program_takes_orders_and_answers() -> Result<(), ProcessError> {
        let mut process = Process::start_for_orders("sed", ["--unbuffered", "s/^/got /"])?;
        for order in ["one", "two"] {
            process.order(order)?;
            assert_eq!(process.next_line(soon())?, Some(format!("got {order}").as_str()));
        }
        assert!(shell("exec sleep 1000").order("one").is_err());
        Ok(())
    }

    #[test]
    fn a_program_past_its_deadline_is_told_with_its_last_words() {
        let mut process = shell("echo started; exec sleep 1000");
        assert_eq!(process.next_line(soon()).ok().flatten(), Some("started"));
        let overdue = process.wait(Instant::now());
        assert!(
            matches!(&overdue, Err(ProcessError::Overdue { tail, .. }) if tail == "started"),
            "{overdue:?}"
        );
    }

    #[test]
    fn a_dropped_process_is_gone() {
        let process = shell("exec sleep 1000");
        let entry = format!("/proc/{}", process.id());
        assert!(Path::new(&entry).exists());
        drop(process);
        assert!(!Path::new(&entry).exists());
    }

    #[test]
    fn a_terminated_process_ends() {
        let mut process = shell("echo started; exec sleep 1000");
        assert_eq!(process.next_line(soon()).ok().flatten(), Some("started"));
        assert!(process.terminate().is_ok());
        assert!(process.wait(soon()).is_ok_and(|status| !status.success()));
    }
}
