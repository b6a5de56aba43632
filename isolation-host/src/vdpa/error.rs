//! The ways in which a vDPA device cannot be used.

use std::io;

use rustix::io::Errno;
use thiserror::Error;

use crate::area::AreaError;
use crate::sandbox::SandboxError;

/// A vDPA device cannot be used, or cannot be used any more.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum VdpaError {
    /// The device cannot be opened, or the system does not let the process wait for the device.
    #[error(transparent)]
    Open(io::Error),
    /// The file is something else.
    #[error("the file is no vDPA device; use /dev/vhost-vdpa-NUMBER")]
    NotVdpa(#[source] Box<Self>),
    /// The kernel or the device refuses a request.
    #[error("{name} fails")]
    Request {
        /// The request.
        name: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// The device is of a type that is not supported.
    #[error("the vDPA device has type {id}; only network (1) and block devices (2) are supported")]
    Type {
        /// VIRTIO's number of the type.
        id: u32,
    },
    /// The kernel is too old.
    #[error("the kernel's vhost-vdpa interface has no 64-bit mappings (features {features:#x})")]
    TooOld {
        /// The features of the interface.
        features: u64,
    },
    /// The device cannot address the isolated area.
    #[error(
        "the device can use the addresses {first:#x} to {last:#x}, and the isolated area of {size} bytes \
         is at {address:#x}"
    )]
    Range {
        /// The first address of the device.
        first: u64,
        /// The last address of the device.
        last: u64,
        /// The address of the area.
        address: u64,
        /// The size of the area.
        size: u64,
    },
    /// The process may not lock so much memory.
    #[error(
        "the device needs an isolated area of {size} bytes in locked memory, and RLIMIT_MEMLOCK is {limit}; \
         raise the limit (`ulimit -l`, LimitMEMLOCK= in a unit) or give a smaller --area-size"
    )]
    Locked {
        /// The size of the area.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The isolated area cannot be mapped for the device.
    #[error("cannot map the isolated area of {size} bytes for the device")]
    Map {
        /// The size of the area.
        size: u64,
        /// The cause.
        source: io::Error,
    },
    /// The system does not start a thread for the device.
    #[error("cannot start the thread of the vDPA device")]
    Thread(#[source] io::Error),
    /// The thread cannot enter the sandbox.
    #[error(transparent)]
    Sandbox(SandboxError),
    /// The isolated area cannot be made.
    #[error(transparent)]
    Area(#[from] AreaError),
    /// The device does not take the features that it offers.
    #[error("the device refuses the features {features:#x}")]
    Features {
        /// The features.
        features: u64,
    },
    /// The control plane negotiates other features while the device runs with the earlier ones.
    #[error("the features {features:#x} need a restart")]
    Renegotiated {
        /// The features.
        features: u64,
    },
    /// The device does not start.
    #[error("the device does not start (status {status:#x})")]
    NotStarted {
        /// The device status.
        status: u8,
    },
    /// The device reports an error.
    #[error("the device needs a reset (status {status:#x})")]
    NeedsReset {
        /// The device status.
        status: u8,
    },
    /// A queue was started while others ran. The kernel starts all queues of a device at once.
    #[error("queue {index} was started after others; all queues are started again")]
    Late {
        /// The queue.
        index: u32,
    },
    /// The control plane sent a message that it never sends.
    #[error("a message of the control plane is malformed")]
    Message,
    /// The connection to the control plane has ended.
    #[error("the control plane has closed the connection")]
    Closed,
    /// An administrator has removed the device.
    #[error("the vDPA device has been removed")]
    Removed,
}

impl VdpaError {
    /// Returns the error of a mapping of `size` bytes.
    ///
    /// `limit` is RLIMIT_MEMLOCK. The kernel reports too little lockable memory as a bad address.
    pub(super) fn mapping(size: u64, limit: Option<u64>, error: Errno) -> Self {
        match limit.filter(|limit| *limit < size) {
            Some(limit) if matches!(error, Errno::FAULT | Errno::NOMEM) => Self::Locked { size, limit },
            _ => Self::Map { size, source: error.into() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_lockable_memory_is_named_with_the_limit_and_the_size() {
        let error = VdpaError::mapping(64 << 20, Some(8 << 20), Errno::FAULT).to_string();
        assert!(error.contains("67108864 bytes") && error.contains("RLIMIT_MEMLOCK is 8388608"), "{error}");
        for (limit, errno) in [(None, Errno::FAULT), (Some(64 << 20), Errno::FAULT), (Some(1), Errno::EXIST)]
        {
            assert!(matches!(VdpaError::mapping(64 << 20, limit, errno), VdpaError::Map { .. }));
        }
    }
}
