//! The thread that serves a vDPA device, and how the control plane connects to it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::backend::Backend;
use super::device::{Device, Facts};
use super::error::VdpaError;
use crate::error_chain::ErrorChain;
use crate::protocol::Channel;
use crate::sandbox::SandboxError;

/// A vDPA device to which the control plane connects as to a vhost-user device.
#[derive(Debug)]
pub struct VdpaLink {
    facts: Facts,
    server: Server,
}

/// The thread that serves the device.
#[derive(Debug)]
enum Server {
    /// The thread is not started yet.
    Waiting(Box<Device>),
    /// The thread takes connections.
    Running(Sender<OwnedFd>),
    /// The thread has ended, because the device was removed.
    Ended,
}

impl VdpaLink {
    /// Opens the device at this path.
    ///
    /// # Errors
    ///
    /// [`VdpaError`] if the path is no vDPA device, or the device cannot be used.
    pub fn open(path: &Path) -> Result<Self, VdpaError> {
        Device::open(path).map(Self::new)
    }

    /// Takes over a device that is open already.
    ///
    /// # Errors
    ///
    /// [`VdpaError`] if the file is no vDPA device, or the device cannot be used.
    pub fn from_file(file: File) -> Result<Self, VdpaError> {
        Device::new(file).map(Self::new)
    }

    fn new(device: Device) -> Self {
        Self { facts: device.facts(), server: Server::Waiting(device.into()) }
    }

    /// Returns what the device is.
    #[must_use]
    pub const fn facts(&self) -> Facts {
        self.facts
    }

    /// Fails if an isolated area of `size` bytes cannot be mapped for the device. Call before
    /// [`start`](Self::start).
    ///
    /// # Errors
    ///
    /// [`VdpaError`]; [`VdpaError::Locked`] if the process may not lock so much memory.
    pub fn try_area(&mut self, size: u64) -> Result<(), VdpaError> {
        match &mut self.server {
            Server::Waiting(device) => device.try_area(size),
            Server::Running(_) | Server::Ended => Ok(()),
        }
    }

    /// Starts the thread, which calls `enter_sandbox` first.
    ///
    /// # Errors
    ///
    /// [`VdpaError::Thread`] if there can be no thread, [`VdpaError::Sandbox`] if the thread cannot
    /// enter the sandbox.
    pub fn start(
        &mut self,
        enter_sandbox: impl FnOnce() -> Result<(), SandboxError> + Send + 'static,
    ) -> Result<(), VdpaError> {
        let (sender, connections) = channel();
        let Server::Waiting(device) = std::mem::replace(&mut self.server, Server::Running(sender)) else {
            return Ok(());
        };
        let (prepared, outcome) = channel();
        let server = thread::Builder::new().name("vdpa".to_owned());
        server
            .spawn(move || {
                let outcome = enter_sandbox();
                let ready = outcome.is_ok();
                // Without a receiver the process is about to end.
                if prepared.send(outcome).is_ok() && ready {
                    serve(*device, &connections);
                }
            })
            .map_err(VdpaError::Thread)?;
        outcome.recv().map_err(io::Error::other).map_err(VdpaError::Thread)?.map_err(VdpaError::Sandbox)
    }

    /// Returns a new connection. An earlier one ends, and the device is reset.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected) if the device was removed.
    pub fn connect(&mut self) -> io::Result<Channel> {
        let Server::Running(sender) = &self.server else { return Err(removed()) };
        let (own, other) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        if sender.send(other).is_err() {
            self.server = Server::Ended;
            return Err(removed());
        }
        Ok(Channel::new(own))
    }

    /// Returns whether the device was removed.
    #[must_use]
    pub const fn is_removed(&self) -> bool {
        matches!(self.server, Server::Ended)
    }
}

fn removed() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, VdpaError::Removed)
}

/// Serves one connection after the other, until the device is removed.
fn serve(mut device: Device, connections: &Receiver<OwnedFd>) {
    while let Ok(connection) = connections.recv() {
        // The control plane has given up earlier connections.
        let connection = connections.try_iter().last().unwrap_or(connection);
        match Backend::new(&mut device, Channel::new(connection)).serve() {
            VdpaError::Closed => tracing::debug!("a connection to the vDPA device has ended"),
            error @ VdpaError::Removed => {
                // The end of this thread closes the device, for which the administrator waits.
                tracing::warn!("{error}");
                return;
            }
            error => tracing::warn!("the vDPA device starts again: {}", ErrorChain(&error)),
        }
    }
}
