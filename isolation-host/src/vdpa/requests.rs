//! The requests to a vhost-vdpa device, and what is mapped for it.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use zerocopy::{FromZeros, Immutable, IntoBytes};

use super::error::VdpaError;
use crate::mmap::Window;
use crate::mmap::vhost_call::{self as calls, ConfigPart, IovaRange, VhostCall, VringFile, vhost_call};
use crate::protocol::payload::{VringAddr, VringState};

/// The message format with 64-bit addresses (`VHOST_BACKEND_F_IOTLB_MSG_V2`).
pub(super) const BACKEND_MSG_V2: u64 = 1 << 1;
/// Mappings can be changed in batches (`VHOST_BACKEND_F_IOTLB_BATCH`).
pub(super) const BACKEND_BATCH: u64 = 1 << 2;
/// Mappings survive a reset (`VHOST_BACKEND_F_IOTLB_PERSIST`).
pub(super) const BACKEND_PERSIST: u64 = 1 << 8;

/// A change of the mappings (`struct vhost_msg_v2`).
#[derive(Clone, Copy, Debug, IntoBytes, Immutable)]
#[repr(C)]
struct IotlbMessage {
    kind: u32,
    address_space: u32,
    iova: u64,
    size: u64,
    user_address: u64,
    permissions: u8,
    change: u8,
    padding: [u8; 38],
}

const _: () = assert!(size_of::<IotlbMessage>() == 72);

/// The kind of an [`IotlbMessage`] (`VHOST_IOTLB_MSG_V2`).
const MSG_V2: u32 = 2;
const READ_WRITE: u8 = 3;
const UPDATE: u8 = 2;
const INVALIDATE: u8 = 3;
const BATCH_BEGIN: u8 = 5;
const BATCH_END: u8 = 6;

/// A file of the kernel that stands for a vDPA device.
#[derive(Debug)]
pub(super) struct Requests {
    // Closed first, which resets the device and so ends its accesses to the mapping.
    file: File,
    mapped: Option<Window>,
    batch: bool,
    /// RLIMIT_MEMLOCK, unless it is infinite.
    lockable: Option<u64>,
}

impl Requests {
    pub(super) fn new(file: File) -> Self {
        // The sandbox does not allow this call later.
        Self { file, mapped: None, batch: false, lockable: getrlimit(Resource::Memlock).current }
    }

    fn call<C: VhostCall>(&self, name: &'static str, argument: &mut C::Argument) -> Result<(), VdpaError> {
        let made = vhost_call::<C>(&self.file, argument);
        made.map_err(|error| VdpaError::Request { name, source: error.into() })
    }

    fn get<C: VhostCall<Argument: FromZeros>>(&self, name: &'static str) -> Result<C::Argument, VdpaError> {
        let mut value = C::Argument::new_zeroed();
        self.call::<C>(name, &mut value)?;
        Ok(value)
    }

    fn set<C: VhostCall>(&self, name: &'static str, mut value: C::Argument) -> Result<(), VdpaError> {
        self.call::<C>(name, &mut value)
    }

    /// Binds the device to this process.
    pub(super) fn set_owner(&self) -> Result<(), VdpaError> {
        self.set::<calls::SetOwner>("VHOST_SET_OWNER", ())
    }

    /// Returns the features of the interface itself.
    pub(super) fn backend_features(&self) -> Result<u64, VdpaError> {
        self.get::<calls::GetBackendFeatures>("VHOST_GET_BACKEND_FEATURES")
    }

    /// Chooses features of the interface.
    pub(super) fn set_backend_features(&mut self, features: u64) -> Result<(), VdpaError> {
        self.set::<calls::SetBackendFeatures>("VHOST_SET_BACKEND_FEATURES", features)?;
        self.batch = features & BACKEND_BATCH != 0;
        Ok(())
    }

    /// Returns the virtio features that the device offers.
    pub(super) fn features(&self) -> Result<u64, VdpaError> {
        self.get::<calls::GetFeatures>("VHOST_GET_FEATURES")
    }

    /// Negotiates virtio features.
    pub(super) fn set_features(&self, features: u64) -> Result<(), VdpaError> {
        self.set::<calls::SetFeatures>("VHOST_SET_FEATURES", features)
    }

    /// Returns VIRTIO's number of the device type.
    pub(super) fn device_id(&self) -> Result<u32, VdpaError> {
        self.get::<calls::GetDeviceId>("VHOST_VDPA_GET_DEVICE_ID")
    }

    /// Returns the device status.
    pub(super) fn status(&self) -> Result<u8, VdpaError> {
        self.get::<calls::GetStatus>("VHOST_VDPA_GET_STATUS")
    }

    /// Sets the device status; 0 resets the device. Waits for a device in user space.
    pub(super) fn set_status(&self, status: u8) -> Result<(), VdpaError> {
        self.set::<calls::SetStatus>("VHOST_VDPA_SET_STATUS", status)
    }

    /// Returns the number of queues.
    pub(super) fn queues(&self) -> Result<u32, VdpaError> {
        self.get::<calls::GetVqsCount>("VHOST_VDPA_GET_VQS_COUNT")
    }

    /// Returns the size of the largest queue.
    pub(super) fn largest_queue(&self) -> Result<u16, VdpaError> {
        self.get::<calls::GetVringNum>("VHOST_VDPA_GET_VRING_NUM")
    }

    /// Returns the largest size of one queue. Fails on kernels before 6.8.
    pub(super) fn queue_size(&self, index: u32) -> Result<u32, VdpaError> {
        let mut state = VringState { index, num: 0 };
        self.call::<calls::GetVringSize>("VHOST_VDPA_GET_VRING_SIZE", &mut state)?;
        Ok(state.num)
    }

    /// Returns the addresses that the device can use.
    pub(super) fn iova_range(&self) -> Result<IovaRange, VdpaError> {
        self.get::<calls::GetIovaRange>("VHOST_VDPA_GET_IOVA_RANGE")
    }

    /// Returns the size of the configuration.
    pub(super) fn config_size(&self) -> Result<u32, VdpaError> {
        self.get::<calls::GetConfigSize>("VHOST_VDPA_GET_CONFIG_SIZE")
    }

    /// Reads a part of the configuration, of up to [`ConfigPart::MAX`] bytes.
    pub(super) fn read_config(&self, offset: u32, into: &mut [u8]) -> Result<(), VdpaError> {
        let mut part = ConfigPart::new(offset, into).ok_or(VdpaError::Message)?;
        self.call::<calls::GetConfig>("VHOST_VDPA_GET_CONFIG", &mut part)?;
        into.copy_from_slice(part.bytes());
        Ok(())
    }

    /// Writes a part of the configuration, of up to [`ConfigPart::MAX`] bytes.
    pub(super) fn write_config(&self, offset: u32, bytes: &[u8]) -> Result<(), VdpaError> {
        let part = ConfigPart::new(offset, bytes).ok_or(VdpaError::Message)?;
        self.set::<calls::SetConfig>("VHOST_VDPA_SET_CONFIG", part)
    }

    /// Has the kernel notify changes of the configuration.
    pub(super) fn set_config_call(&self, fd: BorrowedFd<'_>) -> Result<(), VdpaError> {
        self.set::<calls::SetConfigCall>("VHOST_VDPA_SET_CONFIG_CALL", fd.as_raw_fd())
    }

    pub(super) fn set_vring_num(&self, state: VringState) -> Result<(), VdpaError> {
        self.set::<calls::SetVringNum>("VHOST_SET_VRING_NUM", state)
    }

    /// Sets the position of a queue, which for packed queues has 32 bits.
    pub(super) fn set_vring_base(&self, state: VringState) -> Result<(), VdpaError> {
        self.set::<calls::SetVringBase>("VHOST_SET_VRING_BASE", state)
    }

    pub(super) fn set_vring_addr(&self, areas: VringAddr) -> Result<(), VdpaError> {
        self.set::<calls::SetVringAddr>("VHOST_SET_VRING_ADDR", areas)
    }

    /// Sets the notification of the device, which has to be an eventfd.
    pub(super) fn set_vring_kick(&self, index: u32, fd: BorrowedFd<'_>) -> Result<(), VdpaError> {
        let file = VringFile { index, fd: fd.as_raw_fd() };
        self.set::<calls::SetVringKick>("VHOST_SET_VRING_KICK", file)
    }

    /// Sets the notification of the driver, which has to be an eventfd.
    pub(super) fn set_vring_call(&self, index: u32, fd: BorrowedFd<'_>) -> Result<(), VdpaError> {
        let file = VringFile { index, fd: fd.as_raw_fd() };
        self.set::<calls::SetVringCall>("VHOST_SET_VRING_CALL", file)
    }

    pub(super) fn enable_vring(&self, index: u32) -> Result<(), VdpaError> {
        self.set::<calls::SetVringEnable>("VHOST_VDPA_SET_VRING_ENABLE", VringState { index, num: 1 })
    }

    /// Maps a window for the device, under the window's addresses, in place of what was mapped.
    ///
    /// The window stays mapped in this process as long as the device may access it.
    pub(super) fn map(&mut self, window: Window) -> Result<(), VdpaError> {
        self.unmap()?;
        // A failed update may leave the mapping in the kernel. So the window stays mapped here
        // until `unmap` has taken the mapping from the device.
        let window = self.mapped.insert(window).clone();
        self.update(&window).map_err(|error| VdpaError::mapping(window.size(), self.lockable, error))
    }

    fn update(&self, window: &Window) -> Result<(), Errno> {
        if !self.batch {
            return self.change(UPDATE, Some(window));
        }
        self.change(BATCH_BEGIN, None)?;
        let updated = self.change(UPDATE, Some(window));
        // The kernel applies the batch at its end, whatever came before.
        self.change(BATCH_END, None).and(updated)
    }

    /// Takes from the device what is mapped for it.
    pub(super) fn unmap(&mut self) -> Result<(), VdpaError> {
        if let Some(window) = &self.mapped {
            let removed = self.change(INVALIDATE, Some(window));
            removed.map_err(|error| VdpaError::mapping(window.size(), self.lockable, error))?;
            self.mapped = None;
        }
        Ok(())
    }

    /// Maps the same window again, because a reset has taken the mapping from the device.
    pub(super) fn map_again(&mut self) -> Result<(), VdpaError> {
        match self.mapped.clone() {
            Some(window) => self.map(window),
            None => Ok(()),
        }
    }

    fn change(&self, change: u8, window: Option<&Window>) -> Result<(), Errno> {
        let message = IotlbMessage {
            kind: MSG_V2,
            address_space: 0,
            iova: window.map_or(0, Window::address),
            size: window.map_or(0, Window::size),
            user_address: window.map_or(0, Window::user_address),
            permissions: if change == UPDATE { READ_WRITE } else { 0 },
            change,
            padding: [0; 38],
        };
        rustix::io::write(&self.file, message.as_bytes()).map(drop)
    }
}

impl AsFd for Requests {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Command;

    use super::*;
    use crate::sandbox;

    #[test]
    fn the_sandbox_lets_the_requests_of_vdpa_devices_pass_and_no_other() {
        for last in ["another_vhost_request", "another_ioctl"] {
            let mut process = Command::new(std::env::current_exe().unwrap());
            process.args(["--exact", &format!("vdpa::requests::tests::makes_all_requests_and_{last}")]);
            let output = process.args(["--ignored", "--nocapture"]).output().unwrap();
            let printed = String::from_utf8_lossy(&output.stdout);
            let refused = printed.matches("is refused by the file").count();
            assert_eq!(refused, calls::OPCODES.len(), "{last}: {output:?}");
            assert!(!printed.contains("has reached the kernel"), "{last}: {output:?}");
            assert_eq!(output.status.signal(), Some(libc::SIGSYS), "{last}: {output:?}");
        }
    }

    #[test]
    #[ignore = "a part of the test above, which the sandbox kills"]
    fn makes_all_requests_and_another_vhost_request() {
        let other = sandboxed_after_all_requests().set::<calls::ResetOwner>("VHOST_RESET_OWNER", ());
        println!("VHOST_RESET_OWNER has reached the kernel: {other:?}");
    }

    #[test]
    #[ignore = "a part of the test above, which the sandbox kills"]
    fn makes_all_requests_and_another_ioctl() {
        let other = rustix::io::ioctl_fionread(&sandboxed_after_all_requests().file);
        println!("FIONREAD has reached the kernel: {other:?}");
    }

    /// Enters the sandbox and makes each request of this file once.
    fn sandboxed_after_all_requests() -> Requests {
        let mut requests = Requests::new(File::open("/dev/null").unwrap());
        sandbox::enter_with_vdpa().unwrap();
        let (state, fd) = (VringState { index: 0, num: 1 }, requests.file.try_clone().unwrap());
        let refused = [
            requests.set_owner().unwrap_err(),
            requests.backend_features().unwrap_err(),
            requests.set_backend_features(0).unwrap_err(),
            requests.features().unwrap_err(),
            requests.set_features(0).unwrap_err(),
            requests.device_id().unwrap_err(),
            requests.status().unwrap_err(),
            requests.set_status(0).unwrap_err(),
            requests.queues().unwrap_err(),
            requests.largest_queue().unwrap_err(),
            requests.queue_size(0).unwrap_err(),
            requests.iova_range().unwrap_err(),
            requests.config_size().unwrap_err(),
            requests.read_config(0, &mut [0]).unwrap_err(),
            requests.write_config(0, &[0]).unwrap_err(),
            requests.set_config_call(fd.as_fd()).unwrap_err(),
            requests.set_vring_num(state).unwrap_err(),
            requests.set_vring_base(state).unwrap_err(),
            requests.set_vring_addr(VringAddr::new_zeroed()).unwrap_err(),
            requests.set_vring_kick(0, fd.as_fd()).unwrap_err(),
            requests.set_vring_call(0, fd.as_fd()).unwrap_err(),
            requests.enable_vring(0).unwrap_err(),
        ];
        let mut names = BTreeSet::new();
        for error in refused {
            let VdpaError::Request { name, source } = error else { panic!("{error}") };
            assert!(names.insert(name), "{name} is made twice");
            // `/dev/null` has no vhost requests.
            assert_eq!(source.raw_os_error(), Some(libc::ENOTTY), "{name}");
            println!("{name} is refused by the file");
        }
        requests
    }
}
