//! A child process that never outlives its test. All waits for the process have deadlines.

use std::ffi::OsStr;
use std::io::{self, PipeReader, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use thiserror::Error;

use crate::pipes::{Pipes, lines_of};

/// The number of log lines that an error shows.
const TAIL_LINES: usize = 30;

/// A running program and its log. Dropping the value kills the program.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    log: Vec<String>,
}

/// An error of a child process.
#[derive(Debug, Error)]
pub enum ProcessError {
    /// The program did not start.
    #[error("cannot start {program}")]
    Start {
        /// The program.
        program: String,
        /// The reason.
        source: io::Error,
    },
    /// The system refused to watch or signal the program.
    #[error("cannot watch or signal {program}")]
    Watch {
        /// The program.
        program: String,
        /// The reason.
        source: io::Error,
    },
    /// The deadline passed.
    #[error("{program} missed its deadline; the end of its log:\n{tail}")]
    Overdue {
        /// The program.
        program: String,
        /// The last lines of the program's log.
        tail: String,
    },
}

impl Process {
    /// Starts a program. Its standard output and standard error, interleaved, go to the log.
    ///
    /// The program does not outlive the thread that starts it, even if that thread is killed.
    ///
    /// # Errors
    /// Fails if no process starts. If the program is missing, the process ends with an error
    /// message.
    pub fn start(
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item: AsRef<OsStr>>,
    ) -> Result<Self, ProcessError> {
        Self::start_with(Stdio::null(), Pipes::interleaved, program, arguments)
    }

    /// Starts a program, and keeps its standard input open for [`write_line`](Self::write_line).
    ///
    /// The log has complete lines of the standard output and of the standard error: no error is in
    /// the middle of a line of the standard output. The order between the two is not kept.
    ///
    /// # Errors
    /// Fails if no process starts.
    pub fn start_with_input(
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item: AsRef<OsStr>>,
    ) -> Result<Self, ProcessError> {
        Self::start_with(Stdio::piped(), Pipes::apart, program, arguments)
    }

    fn start_with(
        input: Stdio,
        pipes: fn() -> io::Result<Pipes>,
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item: AsRef<OsStr>>,
    ) -> Result<Self, ProcessError> {
        let name = program.as_ref().display().to_string();
        pipes()
            .and_then(|pipes| Self::spawn(input, pipes, program.as_ref(), arguments))
            .map(|(mut child, readers)| Self {
                name: name.clone(),
                input: child.stdin.take(),
                child,
                lines: lines_of(readers),
                log: Vec::new(),
            })
            .map_err(|source| ProcessError::Start { program: name, source })
    }

    fn spawn(
        input: Stdio,
        Pipes { readers, output, errors }: Pipes,
        program: &OsStr,
        arguments: impl IntoIterator<Item: AsRef<OsStr>>,
    ) -> io::Result<(Child, Vec<PipeReader>)> {
        // `Drop` does not run in a test that is killed. In this case, the kernel's parent-death
        // signal ends the program. setpriv executes the program in its own process, so the process
        // id is the program's.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .args(arguments)
            .stdin(input)
            .stdout(output)
            .stderr(errors)
            .spawn()?;
        Ok((child, readers))
    }

    /// Returns the process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line to the standard input of a program that was started with input.
    ///
    /// # Errors
    /// Fails if the program has closed its input, or was started without one.
    pub fn write_line(&mut self, line: &str) -> Result<(), ProcessError> {
        let written = self.input.as_mut().map(|input| writeln!(input, "{line}"));
        written
            .unwrap_or_else(|| Err(io::ErrorKind::BrokenPipe.into()))
            .map_err(|source| self.unwatchable(source))
    }

    /// Returns the next line of the log, or `None` after the program has closed its output.
    ///
    /// # Errors
    /// Fails if the deadline passes first.
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
    /// Fails if the deadline passes first.
    pub fn wait(&mut self, deadline: Instant) -> Result<ExitStatus, ProcessError> {
        self.ended_by(deadline)?.ok_or_else(|| self.overdue())
    }

    /// Waits until the program ends or the deadline passes.
    ///
    /// # Errors
    /// Fails if the system refuses to watch the program.
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

    /// Sends SIGTERM to the program, as a service manager does.
    ///
    /// # Errors
    /// Fails if the signal cannot be sent.
    pub fn terminate(&mut self) -> Result<(), ProcessError> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)
            .map_err(|source| self.unwatchable(source.into()))
    }

    /// Kills the program with SIGKILL and waits until the program has ended.
    ///
    /// # Errors
    /// Fails if the program cannot be killed.
    pub fn kill(&mut self) -> Result<(), ProcessError> {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed.map(drop).map_err(|source| self.unwatchable(source))
    }

    /// Returns the lines that the program has written so far.
    pub fn log(&mut self) -> &[String] {
        self.log.extend(self.lines.try_iter());
        &self.log
    }

    /// Returns all lines that the program writes until it closes its output.
    ///
    /// # Errors
    /// Fails if the deadline passes first.
    pub fn whole_log(&mut self, deadline: Instant) -> Result<&[String], ProcessError> {
        while self.next_line(deadline)?.is_some() {}
        Ok(&self.log)
    }

    /// Returns the last lines of the log, for an error message.
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
        // Either call fails only if the process has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
    fn a_program_reads_lines_and_answers() -> Result<(), ProcessError> {
        let mut process = Process::start_with_input("sed", ["--unbuffered", "s/^/got /"])?;
        for line in ["one", "two"] {
            process.write_line(line)?;
            assert_eq!(process.next_line(soon())?, Some(format!("got {line}").as_str()));
        }
        assert!(shell("exec sleep 1000").write_line("one").is_err());
        Ok(())
    }

    #[test]
    fn an_error_splits_no_line_of_a_program_with_input() -> Result<(), ProcessError> {
        let script = "read line; printf on; echo error >&2; printf e; echo";
        let mut process = Process::start_with_input("sh", ["-c", script])?;
        process.write_line("go")?;
        let mut log = process.whole_log(soon())?.to_vec();
        log.sort();
        assert_eq!(log, ["error", "one"]);
        Ok(())
    }

    #[test]
    fn a_missed_deadline_is_an_error_with_the_end_of_the_log() {
        let mut process = shell("echo started; exec sleep 1000");
        assert_eq!(process.next_line(soon()).ok().flatten(), Some("started"));
        let overdue = process.wait(Instant::now());
        assert!(
            matches!(&overdue, Err(ProcessError::Overdue { tail, .. }) if tail == "started"),
            "{overdue:?}"
        );
    }

    #[test]
    fn a_dropped_process_has_ended() {
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
