//! Controls a running guest: pauses, resets and wakes it, and migrates it to another QEMU.

use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use thiserror::Error;

use super::{Device, Guest, GuestError, Overlay};
use crate::artifacts::GuestImage;

/// The name of QEMU's control socket in the guest's directory.
const CONTROL: &str = "control.sock";
/// The name of the socket on which a QEMU waits for a migrating guest, in its own directory.
const INCOMING: &str = "incoming.sock";

/// An error of controlling or migrating a guest.
#[derive(Debug, Error)]
pub enum MigrationError {
    /// The connection to QEMU failed.
    #[error("the connection to QEMU's control socket failed")]
    Control(#[from] io::Error),
    /// QEMU refused a command.
    #[error("QEMU answers {command} with {answer}")]
    Refused {
        /// The command.
        command: String,
        /// QEMU's answer.
        answer: String,
    },
    /// The guest has not suspended.
    #[error("the guest has not suspended; QEMU reports it as {status}")]
    NotSuspended {
        /// The status that QEMU reports.
        status: String,
    },
    /// The migration failed.
    #[error("the migration ended as {status}")]
    Failed {
        /// The status that QEMU reports.
        status: String,
    },
}

/// Returns QEMU's arguments for a control socket in `directory`.
pub(super) fn control(directory: &Path) -> Vec<OsString> {
    let mut socket = OsString::from("unix:");
    socket.push(directory.join(CONTROL));
    socket.push(",server=on,wait=off");
    vec!["-qmp".into(), socket]
}

impl Guest {
    /// Pauses the guest and resumes it. QEMU stops and starts the guest's devices, too.
    ///
    /// # Errors
    /// Fails if QEMU does not execute the commands `within` that time.
    pub fn pause_and_resume(&self, within: Duration) -> Result<(), GuestError> {
        let path = self.directory.path().join(CONTROL);
        let mut control = Control::connect(&path, Instant::now() + within)?;
        control.execute("stop", json!({}))?;
        control.execute("cont", json!({}))?;
        Ok(())
    }

    /// Resets the guest, which boots again in the same QEMU.
    ///
    /// # Errors
    /// Fails if QEMU does not acknowledge the reset within this time.
    pub fn reset(&self, within: Duration) -> Result<(), GuestError> {
        let path = self.directory.path().join(CONTROL);
        let mut control = Control::connect(&path, Instant::now() + within)?;
        // QEMU was started with `-no-reboot`.
        control.execute("set-action", json!({"reboot": "reset"}))?;
        control.execute("system_reset", json!({}))?;
        Ok(())
    }

    /// Waits until the guest has suspended to memory (S3), and wakes it up.
    ///
    /// # Errors
    /// Fails if the guest does not suspend `within` that time.
    pub fn wake_from_memory(&self, within: Duration) -> Result<(), GuestError> {
        let deadline = Instant::now() + within;
        let mut control = Control::connect(&self.directory.path().join(CONTROL), deadline)?;
        loop {
            let answer = control.execute("query-status", json!({}))?;
            let status = answer.pointer("/return/status").and_then(Value::as_str).unwrap_or_default();
            match status {
                "suspended" => break,
                status if Instant::now() > deadline => {
                    return Err(MigrationError::NotSuspended { status: status.to_owned() }.into());
                }
                // QEMU sends its event only to connections that existed before.
                _ => thread::sleep(Duration::from_millis(10)),
            }
        }
        control.execute("system_wakeup", json!({}))?;
        Ok(())
    }

    /// Presses a key, which wakes the guest from an idle state (s2idle).
    ///
    /// # Errors
    /// Fails if QEMU does not execute the command `within` that time.
    pub fn press_key(&self, within: Duration) -> Result<(), GuestError> {
        let path = self.directory.path().join(CONTROL);
        let mut control = Control::connect(&path, Instant::now() + within)?;
        control.execute("send-key", json!({"keys": [{"type": "qcode", "data": "shift"}]}))?;
        Ok(())
    }

    /// Migrates the running guest to a new QEMU in which the guest has `device`.
    ///
    /// # Errors
    /// Fails if the new QEMU does not start, or if the migration does not end `within` that time.
    pub fn migrate(
        &mut self,
        image: &GuestImage,
        device: &Device,
        overlay: &Overlay,
        within: Duration,
    ) -> Result<Self, GuestError> {
        let deadline = Instant::now() + within;
        let mut uri = OsString::new();
        let destination = Self::start(image, device, overlay, |directory| {
            uri.push("unix:");
            uri.push(directory.join(INCOMING));
            vec!["-incoming".into(), uri.clone()]
        })?;
        // The new QEMU answers on its control socket once it also listens for the migration.
        Control::connect(&destination.directory.path().join(CONTROL), deadline)?;
        let mut control = Control::connect(&self.directory.path().join(CONTROL), deadline)?;
        let events = json!({"capabilities": [{"capability": "events", "state": true}]});
        control.execute("migrate-set-capabilities", events)?;
        control.execute("migrate", json!({"uri": uri.to_string_lossy()}))?;
        control.wait_for_migration()?;
        Ok(destination)
    }
}

/// A connection to QEMU's control socket, which speaks QMP.
struct Control {
    reader: BufReader<UnixStream>,
}

impl Control {
    fn connect(path: &Path, deadline: Instant) -> Result<Self, MigrationError> {
        let stream = loop {
            match UnixStream::connect(path) {
                Ok(stream) => break stream,
                Err(error) if Instant::now() > deadline => return Err(error.into()),
                // QEMU has not created the socket yet.
                Err(_) => thread::yield_now(),
            }
        };
        stream.set_read_timeout(Some(deadline.saturating_duration_since(Instant::now())))?;
        let mut control = Self { reader: BufReader::new(stream) };
        control.message()?;
        control.execute("qmp_capabilities", json!({}))?;
        Ok(control)
    }

    /// Reads the next message.
    fn message(&mut self) -> io::Result<Value> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        serde_json::from_str(&line).map_err(io::Error::other)
    }

    /// Executes a command, waits for its answer, and returns the answer.
    fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, MigrationError> {
        let message = json!({"execute": command, "arguments": arguments});
        writeln!(self.reader.get_mut(), "{message}")?;
        loop {
            let answer = self.message()?;
            if answer.get("return").is_some() {
                return Ok(answer);
            }
            if answer.get("error").is_some() {
                return Err(MigrationError::Refused {
                    command: command.to_owned(),
                    answer: answer.to_string(),
                });
            }
        }
    }

    fn wait_for_migration(&mut self) -> Result<(), MigrationError> {
        loop {
            let message = self.message()?;
            if message.get("event").and_then(Value::as_str) != Some("MIGRATION") {
                continue;
            }
            match message.pointer("/data/status").and_then(Value::as_str).unwrap_or_default() {
                "completed" => return Ok(()),
                status @ ("failed" | "cancelled") => {
                    return Err(MigrationError::Failed { status: status.to_owned() });
                }
                _ => {}
            }
        }
    }
}
