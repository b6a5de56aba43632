//! An open vDPA device: what it has, and how it is started and reset.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use ring_core::Features;

use super::error::VdpaError;
use super::removal::Removal;
use super::requests::{BACKEND_BATCH, BACKEND_MSG_V2, BACKEND_PERSIST, Requests};
use super::vrings::Vring;
use crate::area::Area;
use crate::device_type::DeviceType;
use crate::mmap::Window;
use crate::notifier;
use crate::protocol::features::{LOG_ALL, PROTOCOL_FEATURES};
use crate::protocol::payload::VringState;

/// VIRTIO's device status bits (VIRTIO 1.4, 2.1 "Device Status Field").
mod status {
    pub(super) const ACKNOWLEDGE: u8 = 1;
    pub(super) const DRIVER: u8 = 2;
    pub(super) const DRIVER_OK: u8 = 4;
    pub(super) const FEATURES_OK: u8 = 8;
    pub(super) const NEEDS_RESET: u8 = 64;
    pub(super) const FAILED: u8 = 128;
}

/// Features of a network device that need the control queue, which is not forwarded (VIRTIO 1.4,
/// 5.1.3 "Feature bits").
const NET_CONTROL: u64 = 1 << 2 | 0x7f << 17 | 0b11 << 52 | 1 << 57 | 1 << 60;

/// What a vDPA device is. The facts do not change while the device is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The type of the device.
    pub device_type: DeviceType,
    /// The number of its queues.
    pub queues: u16,
    /// The size of its largest ring, a power of two.
    pub ring_limit: u16,
}

/// An open device.
#[derive(Debug)]
pub(super) struct Device {
    requests: Requests,
    facts: Facts,
    /// The virtio features that the device offers.
    features: u64,
    /// Whether mappings survive a reset.
    persistent: bool,
    /// The size of the configuration.
    config_size: u32,
    config_call: OwnedFd,
    removal: Removal,
}

impl Device {
    /// Opens the device at this path. No other process can have the device open.
    pub(super) fn open(path: &Path) -> Result<Self, VdpaError> {
        Self::new(OpenOptions::new().read(true).write(true).open(path).map_err(VdpaError::Open)?)
    }

    /// Takes over an open device.
    pub(super) fn new(file: File) -> Result<Self, VdpaError> {
        let mut requests = Requests::new(file);
        let id = requests.device_id().map_err(|error| VdpaError::NotVdpa(error.into()))?;
        let device_type = match id {
            1 => DeviceType::Net,
            2 => DeviceType::Blk,
            _ => return Err(VdpaError::Type { id }),
        };
        requests.set_owner()?;
        let offered = requests.backend_features()?;
        if offered & BACKEND_MSG_V2 == 0 {
            return Err(VdpaError::TooOld { features: offered });
        }
        requests.set_backend_features(offered & (BACKEND_MSG_V2 | BACKEND_BATCH | BACKEND_PERSIST))?;
        let queues = u16::try_from(requests.queues()?).unwrap_or(u16::MAX);
        // Of a network device with several pairs and a control queue, the first pair is used.
        let queues = if device_type == DeviceType::Net { queues.min(2) } else { queues };
        let removal = Removal::watch(requests.as_fd());
        Ok(Self {
            facts: Facts { device_type, queues, ring_limit: ring_limit(&requests, queues)? },
            features: requests.features()?,
            persistent: offered & BACKEND_PERSIST != 0,
            config_size: requests.config_size()?,
            config_call: notifier::new().map_err(VdpaError::Open)?,
            requests,
            removal,
        })
    }

    /// Returns a device that refuses every request.
    #[cfg(test)]
    pub(super) fn refusing() -> Self {
        let requests = Requests::new(File::open("/dev/null").unwrap());
        Self {
            facts: Facts { device_type: DeviceType::Blk, queues: 1, ring_limit: 256 },
            features: 0,
            persistent: false,
            config_size: 8,
            config_call: notifier::new().unwrap(),
            removal: Removal::watch(requests.as_fd()),
            requests,
        }
    }

    pub(super) const fn facts(&self) -> Facts {
        self.facts
    }

    /// Returns the features to offer to the control plane.
    pub(super) fn offered(&self) -> u64 {
        let control = if self.facts.device_type == DeviceType::Net { NET_CONTROL } else { 0 };
        self.features & !control & !Features::ACCESS_PLATFORM.bits() | PROTOCOL_FEATURES
    }

    /// Fails if an isolated area of this size cannot be mapped for the device.
    ///
    /// Maps such an area for the device, and unmaps the area again.
    pub(super) fn try_area(&mut self, size: u64) -> Result<(), VdpaError> {
        self.requests.set_status(0)?;
        let window = Area::new(size, 1)?.window().clone();
        let (range, address) = (self.requests.iova_range()?, window.address());
        if address < range.first || range.last < address.saturating_add(size - 1) {
            return Err(VdpaError::Range { first: range.first, last: range.last, address, size });
        }
        self.requests.map(window)?;
        self.requests.unmap()
    }

    /// Forgets everything that an earlier connection has set up.
    pub(super) fn clear(&mut self) -> Result<(), VdpaError> {
        self.requests.set_status(0)?;
        self.requests.unmap()
    }

    /// Resets the device. What is mapped for it stays mapped.
    ///
    /// This is how all queues are stopped: devices cannot stop one, and some cannot tell where
    /// they have stopped.
    pub(super) fn reset(&mut self) -> Result<(), VdpaError> {
        self.requests.set_status(0)?;
        if self.persistent { Ok(()) } else { self.requests.map_again() }
    }

    /// Maps memory for the device, in place of what was mapped before.
    pub(super) fn map(&mut self, window: Window) -> Result<(), VdpaError> {
        self.requests.map(window)
    }

    /// Starts a device that was reset, with these queues.
    pub(super) fn start<'v>(
        &self,
        features: u64,
        vrings: impl Iterator<Item = (u32, &'v Vring)> + Clone,
    ) -> Result<(), VdpaError> {
        let mut status = status::ACKNOWLEDGE;
        self.requests.set_status(status)?;
        status |= status::DRIVER;
        self.requests.set_status(status)?;
        let features = features & !(PROTOCOL_FEATURES | LOG_ALL) | Features::ACCESS_PLATFORM.bits();
        self.requests.set_features(features)?;
        status |= status::FEATURES_OK;
        self.requests.set_status(status)?;
        if self.requests.status()? & status::FEATURES_OK == 0 {
            return Err(VdpaError::Features { features });
        }
        for (index, vring) in vrings.clone() {
            self.set_up(index, vring)?;
        }
        self.requests.set_config_call(self.config_call.as_fd())?;
        self.requests.set_status(status | status::DRIVER_OK)?;
        let status = self.requests.status()?;
        // The kernel reports no error of a device in user space that does not answer.
        if status & status::DRIVER_OK == 0 {
            return Err(VdpaError::NotStarted { status });
        }
        // Requests that were made available before are not noticed by every device.
        vrings.filter_map(|(_, vring)| vring.kick.as_ref()).for_each(notifier::notify);
        Ok(())
    }

    fn set_up(&self, index: u32, vring: &Vring) -> Result<(), VdpaError> {
        let (Some(kick), Some(call)) = (&vring.kick, &vring.call) else { return Err(VdpaError::Message) };
        self.requests.set_vring_num(VringState { index, num: vring.size })?;
        self.requests.set_vring_base(VringState { index, num: vring.base })?;
        self.requests.set_vring_addr(vring.areas)?;
        self.requests.set_vring_call(index, call.as_fd())?;
        self.requests.set_vring_kick(index, kick.as_fd())?;
        self.requests.enable_vring(index)
    }

    /// Reads the configuration. Bytes behind its end are zero.
    pub(super) fn read_config(&self, offset: u32, into: &mut [u8]) -> Result<(), VdpaError> {
        into.fill(0);
        let known = usize::try_from(self.config_size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let len = into.len().min(known);
        match into.get_mut(..len) {
            Some(known) if len > 0 => self.requests.read_config(offset, known),
            _ => Ok(()),
        }
    }

    /// Writes the configuration.
    pub(super) fn write_config(&self, offset: u32, bytes: &[u8]) -> Result<(), VdpaError> {
        self.requests.write_config(offset, bytes)
    }

    /// Returns the notification of changes of the configuration.
    pub(super) fn config_call(&self) -> BorrowedFd<'_> {
        self.config_call.as_fd()
    }

    /// Fails if the device reports that it does not work any more.
    pub(super) fn check(&self) -> Result<(), VdpaError> {
        let status = self.requests.status()?;
        let broken = status & (status::NEEDS_RESET | status::FAILED) != 0;
        if broken { Err(VdpaError::NeedsReset { status }) } else { Ok(()) }
    }

    pub(super) const fn removal(&self) -> &Removal {
        &self.removal
    }

    /// Returns whether the device's file has been removed.
    pub(super) fn is_removed(&self) -> bool {
        self.removal.has_happened(self.requests.as_fd())
    }
}

/// Returns the size of the largest ring that each queue can have, a power of two.
fn ring_limit(requests: &Requests, queues: u16) -> Result<u16, VdpaError> {
    let mut limit = u32::from(requests.largest_queue()?);
    for index in 0..queues {
        // Not all kernels and devices report the sizes of single queues.
        if let Ok(size) = requests.queue_size(index.into()) {
            limit = limit.min(size);
        }
    }
    let limit = u16::try_from(limit).unwrap_or(u16::MAX).max(1);
    Ok(1 << limit.ilog2())
}
