//! QEMU's process, which is started again after a known fault of QEMU during boot.

use std::ffi::OsString;
use std::process::ExitStatus;
use std::time::Instant;

use crate::process::{Process, ProcessError};

/// The assertion with which QEMU 10 may fail while a guest boots.
///
/// One virtual processor changes the memory map, as the kernel does when it finds the size of each
/// device's registers, while another one accesses a device by the old map. The guest's devices have
/// no part in it. Emulation by one thread avoids the fault, but leaves out the guest's barriers, on
/// which a device in another process depends.
const ASSERTION: &str = "iotlb_to_section: Assertion";

/// The start of the first line that the guest's process 1 prints, in `init.sh`.
const BOOTED: &str = "guest: kernel";

/// QEMU's process.
#[derive(Debug)]
pub(super) struct Emulator {
    process: Process,
    program: OsString,
    arguments: Vec<OsString>,
    /// The number of times that QEMU may be started again.
    restarts: u32,
}

impl Emulator {
    /// Starts QEMU.
    ///
    /// # Errors
    /// Fails if no process starts.
    pub(super) fn start(
        program: impl Into<OsString>,
        arguments: Vec<OsString>,
    ) -> Result<Self, ProcessError> {
        let program = program.into();
        let process = Process::start(&program, &arguments)?;
        Ok(Self { process, program, arguments, restarts: 0 })
    }

    /// Lets QEMU start once more if it fails with the known assertion before the guest has booted.
    pub(super) fn restart_if_the_boot_fails(&mut self) {
        self.restarts = 1;
    }

    /// Returns the process id of QEMU.
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Returns the console's next line, or `None` after QEMU has closed its output.
    ///
    /// # Errors
    /// Fails if the deadline passes first, or QEMU cannot be started again.
    pub(super) fn next_line(&mut self, deadline: Instant) -> Result<Option<String>, ProcessError> {
        while let Some(line) = self.process.next_line(deadline)?.map(str::to_owned) {
            if line.contains(BOOTED) {
                self.restarts = 0;
            }
            if self.restarts == 0 || !line.contains(ASSERTION) {
                return Ok(Some(line));
            }
            self.restarts -= 1;
            println!("QEMU is started again, because a fault of its own ended it during boot:\n{line}");
            self.process = Process::start(&self.program, &self.arguments)?;
        }
        Ok(None)
    }

    /// Waits until QEMU ends.
    ///
    /// # Errors
    /// Fails if the deadline passes first.
    pub(super) fn wait(&mut self, deadline: Instant) -> Result<ExitStatus, ProcessError> {
        self.process.wait(deadline)
    }

    /// Returns the last lines of the console, for an error message.
    pub(super) fn tail(&mut self) -> String {
        self.process.tail()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error;
    use std::time::Duration;

    /// Prints `before`, and then ends with the assertion at the first start only.
    fn lines(before: &str, restart: bool) -> Result<Vec<String>, Box<dyn Error>> {
        let directory = tempfile::tempdir()?;
        let started = directory.path().join("started");
        let script = format!(
            "{before}; [ -e \"$0\" ] || {{ touch \"$0\"; \
             echo \"qemu: iotlb_to_section: Assertion 'x' failed.\"; kill -ABRT $$; }}; echo end"
        );
        let arguments = vec!["-c".into(), script.into(), started.into()];
        let mut emulator = Emulator::start("sh", arguments)?;
        if restart {
            emulator.restart_if_the_boot_fails();
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut lines = Vec::new();
        while let Some(line) = emulator.next_line(deadline)? {
            lines.push(line);
        }
        Ok(lines)
    }

    #[test]
    fn qemu_starts_again_after_its_own_fault_before_the_guest_has_booted() -> Result<(), Box<dyn Error>> {
        assert_eq!(lines("echo SeaBIOS", true)?, ["SeaBIOS", "SeaBIOS", "end"]);
        Ok(())
    }

    #[test]
    fn the_fault_is_reported_after_the_boot_or_without_a_restart() -> Result<(), Box<dyn Error>> {
        let fault = "qemu: iotlb_to_section: Assertion 'x' failed.";
        assert_eq!(lines("echo guest: kernel 6.12", true)?, ["guest: kernel 6.12", fault]);
        assert_eq!(lines("true", false)?, [fault]);
        Ok(())
    }
}
