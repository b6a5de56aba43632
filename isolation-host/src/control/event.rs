//! The events that the shell reports, and the actions that it performs.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::forward::{ActiveQueue, QueueEvent};
use crate::protocol::{Message, ReceiveError, SendError};

/// An event that the shell reports.
#[derive(Debug)]
pub(crate) enum Event {
    /// Time has passed.
    Time,
    /// A VMM has connected. Happens only while a VMM is
    /// [accepted](super::Control::accepts_vmm).
    VmmConnected,
    /// The VMM has sent a message. Happens only while no message of the VMM
    /// [waits](super::Control::vmm_waits).
    FromVmm(Message),
    /// No message of the VMM is waiting to be received.
    VmmQuiet,
    /// The connection to the VMM has ended, for this reason.
    VmmDisconnected(String),
    /// The shell has connected to a device.
    DeviceConnected,
    /// There is no device to connect to.
    DeviceMissing,
    /// The device has sent a message.
    FromDevice(Message),
    /// The connection to the device has ended.
    DeviceClosed(ReceiveError),
    /// A message to the device cannot be sent.
    DeviceFailed(SendError),
    /// The device has sent a message on its back-end channel.
    FromBackend(Message),
    /// A worker reports that a queue needs attention.
    Workers,
}

/// An action that the shell has to perform.
#[derive(Debug)]
pub(crate) enum Action {
    /// Send a message to the VMM.
    ToVmm(Message),
    /// Use this socket for requests to the VMM.
    VmmBackend(OwnedFd),
    /// Send a request to the VMM on that socket, if there is one.
    ToVmmBackend(Message),
    /// Close the connection to the VMM.
    DisconnectVmm,
    /// Try to connect to a device once.
    ConnectDevice,
    /// Send a message to the device.
    ToDevice(Message),
    /// Receive from this socket, the back-end channel of the device.
    DeviceBackend(OwnedFd),
    /// Send a reply on the back-end channel.
    ToBackend(Message),
    /// Close the connection to the device, and its back-end channel.
    DisconnectDevice,
    /// Let the workers run these queues. Happens once.
    Assign(Vec<Arc<Mutex<ActiveQueue>>>),
    /// Add a notification to those that the worker of a queue waits for.
    Listen {
        /// The index of the queue.
        index: usize,
        /// The file descriptor that is notified.
        fd: Arc<OwnedFd>,
        /// What the notification means.
        event: QueueEvent,
    },
    /// Remove a notification from those that the worker of a queue waits for.
    Ignore {
        /// The index of the queue.
        index: usize,
        /// The file descriptor.
        fd: Arc<OwnedFd>,
    },
    /// Wake the worker of a queue.
    Wake(usize),
}
