//! Stopping a running guest, resetting it, and moving it from one QEMU to another.

use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use thiserror::Error;

use super::{Device, Guest, GuestError, Overlay};
use crate::artifacts::GuestImage;

/// The name of the socket on which QEMU takes commands, in the guest's directory.
const CONTROL: &str = "control.sock";
/// The name of the socket on which a QEMU waits for a guest, in its own directory.
const INCOMING: &str = "incoming.sock";

/// Why a guest could not be moved.
#[derive(Debug, Error)]
pub enum MigrationError {
    /// QEMU cannot be talked to.
    #[error("QEMU's control socket")]
    Control(#[from] io::Error),
    /// QEMU said no.
    #[error("QEMU answers {command} with {answer}")]
    Refused {
        /// What it was told.
        command: String,
        /// What it said.
        answer: String,
    },
    /// The guest did not arrive.
    #[error("the migration ended as {status}")]
    Failed {
        /// QEMU's word for it.
        status: String,
    },
}

/// QEMU's arguments for being controlled.
pub(super) fn control(directory: &Path) -> Vec<OsString> {
    let mut socket = OsString::from("unix:");
    socket.push(directory.join(CONTROL));
    socket.push(",server=on,wait=off");
    vec!["-qmp".into(), socket]
}

impl Guest {
    /// Stops the whole guest, and lets it go on. QEMU stops its devices for that, too.
    ///
    /// # Errors
    /// If QEMU does not do it `within` that time.
    pub fn pause_and_go_on(&self, within: Duration) -> Result<(), GuestError> {
        let path = self.directory.path().join(CONTROL);
        let mut control = Control::connect(&path, Instant::now() + within)?;
        control.execute("stop", json!({}))?;
        control.execute("cont", json!({}))?;
        Ok(())
    }

    /// Resets the guest, as the button on a machine does: it boots anew, in the same QEMU.
    ///
    /// # Errors
    /// If QEMU does not do it `within` that time.
    pub fn reset(&self, within: Duration) -> Result<(), GuestError> {
        let path = self.directory.path().join(CONTROL);
        let mut control = Control::connect(&path, Instant::now() + within)?;
        // It was told to end rather than to reset a guest.
        control.execute("set-action", json!({"reboot": "reset"}))?;
        control.execute("system_reset", json!({}))?;
        Ok(())
    }

    /// Moves this guest to a new QEMU, where it has this device, while it runs. This QEMU ends.
    ///
    /// # Errors
    /// If the new one does not start, or the guest does not arrive `within` that time.
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
        // It listens for commands before it listens for guests, and answers when it does both.
        Control::connect(&destination.directory.path().join(CONTROL), deadline)?;
        let mut control = Control::connect(&self.directory.path().join(CONTROL), deadline)?;
        let events = json!({"capabilities": [{"capability": "events", "state": true}]});
        control.execute("migrate-set-capabilities", events)?;
        control.execute("migrate", json!({"uri": uri.to_string_lossy()}))?;
        control.wait_for_migration()?;
        Ok(destination)
    }
}

/// A connection to QEMU's machine protocol.
struct Control {
    reader: BufReader<UnixStream>,
}

impl Control {
    fn connect(path: &Path, deadline: Instant) -> Result<Self, MigrationError> {
        let stream = loop {
            match UnixStream::connect(path) {
                Ok(stream) => break stream,
                Err(error) if Instant::now() > deadline => return Err(error.into()),
                // QEMU is still starting.
                Err(_) => std::thread::yield_now(),
            }
        };
        stream.set_read_timeout(Some(deadline.saturating_duration_since(Instant::now())))?;
        let mut control = Self { reader: BufReader::new(stream) };
        control.message()?;
        control.execute("qmp_capabilities", json!({}))?;
        Ok(control)
    }

    /// The next thing that QEMU says.
    fn message(&mut self) -> io::Result<Value> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        serde_json::from_str(&line).map_err(io::Error::other)
    }

    fn execute(&mut self, command: &str, arguments: Value) -> Result<(), MigrationError> {
        let order = json!({"execute": command, "arguments": arguments});
        writeln!(self.reader.get_mut(), "{order}")?;
        loop {
            let answer = self.message()?;
            if answer.get("return").is_some() {
                return Ok(());
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
