//! VIRTIO over MMIO: a transport that a kernel can reuse.
//!
//! ring-core moves buffers and has no transport. This file is a complete transport (VIRTIO 1.4, 4.2
//! "Virtio Over MMIO"):
//!
//! 1. [`Device::probe`] finds out whether there is a device, and its type.
//! 2. [`Device::negotiate`] resets the device and negotiates features.
//! 3. [`Device::start_queue`] tells the device the areas of a queue, once for each queue.
//! 4. [`Device::set_driver_ok`] starts the device.
//! 5. [`Device::notify`] notifies the device when [`publish`] says so, and [`Device::sleep`] waits
//!    for the device's interrupt when [`arm`] says that it is safe to sleep.
//!
//! The transport needs two things from its platform: a window onto the device's registers, and a
//! way to sleep until the device's interrupt.
//!
//! [`publish`]: ring_core::DriverQueue::publish
//! [`arm`]: ring_core::DriverQueue::arm

use ring_core::{Features, Setup};

use crate::error::CheckError;
use crate::x86::{Line, Registers};

/// VIRTIO 1.4, 4.2.2 "MMIO Device Register Layout".
mod register {
    pub(super) const MAGIC: usize = 0x000;
    pub(super) const VERSION: usize = 0x004;
    pub(super) const DEVICE_ID: usize = 0x008;
    pub(super) const DEVICE_FEATURES: usize = 0x010;
    pub(super) const DEVICE_FEATURES_SELECT: usize = 0x014;
    pub(super) const DRIVER_FEATURES: usize = 0x020;
    pub(super) const DRIVER_FEATURES_SELECT: usize = 0x024;
    pub(super) const QUEUE_SELECT: usize = 0x030;
    pub(super) const QUEUE_SIZE_MAX: usize = 0x034;
    pub(super) const QUEUE_SIZE: usize = 0x038;
    pub(super) const QUEUE_READY: usize = 0x044;
    pub(super) const QUEUE_NOTIFY: usize = 0x050;
    pub(super) const INTERRUPT_STATUS: usize = 0x060;
    pub(super) const INTERRUPT_ACKNOWLEDGE: usize = 0x064;
    pub(super) const STATUS: usize = 0x070;
    /// The upper half of each address follows in the next register.
    pub(super) const DESCRIPTOR_AREA: usize = 0x080;
    pub(super) const DRIVER_AREA: usize = 0x090;
    pub(super) const DEVICE_AREA: usize = 0x0a0;
    pub(super) const CONFIG: usize = 0x100;
}

/// VIRTIO 1.4, 2.1 "Device Status Field".
mod status {
    pub(super) const ACKNOWLEDGE: u32 = 1;
    pub(super) const DRIVER: u32 = 2;
    pub(super) const DRIVER_OK: u32 = 4;
    pub(super) const FEATURES_OK: u32 = 8;
    pub(super) const NEEDS_RESET: u32 = 64;
}

/// "virt".
const MAGIC: u32 = 0x7472_6976;
/// The version of non-legacy devices.
const VERSION: u32 = 2;

/// A device on this transport.
#[derive(Debug)]
pub(crate) struct Device {
    registers: Registers,
    line: Line,
    id: u32,
    /// The number of notifications sent to the device.
    pub(crate) notifications: u32,
    /// The number of interrupts taken from the device.
    pub(crate) interrupts: u32,
}

impl Device {
    /// Returns the device behind `registers`, if there is one. `line` is the device's interrupt
    /// line.
    pub(crate) fn probe(registers: Registers, line: Line) -> Option<Self> {
        let id = registers.read(register::DEVICE_ID);
        let present = registers.read(register::MAGIC) == MAGIC
            && registers.read(register::VERSION) == VERSION
            && id != 0;
        present.then_some(Self { registers, line, id, notifications: 0, interrupts: 0 })
    }

    /// Returns the device type (VIRTIO 1.4, 5 "Device Types").
    pub(crate) const fn id(&self) -> u32 {
        self.id
    }

    /// Resets the device. From then on the device accesses no memory.
    pub(crate) fn reset(&mut self) {
        self.registers.write(register::STATUS, 0);
        while self.registers.read(register::STATUS) != 0 {
            core::hint::spin_loop();
        }
        (self.notifications, self.interrupts) = (0, 0);
    }

    /// Resets the device and negotiates exactly the `required` features.
    pub(crate) fn negotiate(&mut self, required: Features) -> Result<(), CheckError> {
        self.reset();
        self.add_status(status::ACKNOWLEDGE);
        self.add_status(status::DRIVER);
        let offered = self.offered();
        if !offered.contains(required) {
            return Err(CheckError::NotOffered { missing: required.difference(offered) });
        }
        for (select, bits) in (0..).zip(halves(required.bits())) {
            self.registers.write(register::DRIVER_FEATURES_SELECT, select);
            self.registers.write(register::DRIVER_FEATURES, bits);
        }
        self.add_status(status::FEATURES_OK);
        if self.status() & status::FEATURES_OK == 0 {
            return Err(CheckError::Refused { features: required });
        }
        Ok(())
    }

    fn offered(&self) -> Features {
        let half = |select| {
            self.registers.write(register::DEVICE_FEATURES_SELECT, select);
            u64::from(self.registers.read(register::DEVICE_FEATURES))
        };
        Features::from_bits_retain(half(0) | half(1) << 32)
    }

    /// Tells the device the size and areas of a queue, and enables the queue.
    pub(crate) fn start_queue(&self, index: u16, setup: &Setup) -> Result<(), CheckError> {
        self.registers.write(register::QUEUE_SELECT, index.into());
        let max = self.registers.read(register::QUEUE_SIZE_MAX);
        if u32::from(setup.size) > max {
            return Err(CheckError::QueueSize { size: setup.size, max });
        }
        self.registers.write(register::QUEUE_SIZE, setup.size.into());
        for (register, address) in [
            (register::DESCRIPTOR_AREA, setup.areas.descriptor),
            (register::DRIVER_AREA, setup.areas.driver),
            (register::DEVICE_AREA, setup.areas.device),
        ] {
            let [low, high] = halves(address);
            self.registers.write(register, low);
            self.registers.write(register + 4, high);
        }
        self.registers.write(register::QUEUE_READY, 1);
        Ok(())
    }

    /// Starts the device. All queues of the device must have been started.
    pub(crate) fn set_driver_ok(&self) {
        self.add_status(status::DRIVER_OK);
    }

    /// Notifies the device of buffers in a queue.
    pub(crate) fn notify(&mut self, queue: u16) {
        self.notifications += 1;
        self.registers.write(register::QUEUE_NOTIFY, queue.into());
    }

    /// Sleeps until the device interrupts, and acknowledges the interrupt.
    ///
    /// Everything that the device does after the acknowledgement causes a new interrupt, so check
    /// the queues after this call. One interrupt can stand for several queues of the device, or for
    /// none.
    pub(crate) fn sleep(&mut self) -> Result<(), CheckError> {
        self.interrupts += self.line.wait();
        let events = self.registers.read(register::INTERRUPT_STATUS);
        self.registers.write(register::INTERRUPT_ACKNOWLEDGE, events);
        if self.status() & status::NEEDS_RESET != 0 {
            return Err(CheckError::NeedsReset);
        }
        Ok(())
    }

    /// Returns the 32-bit field at `offset` in the device's configuration space.
    pub(crate) fn config(&self, offset: usize) -> u32 {
        self.registers.read(register::CONFIG + offset)
    }

    fn status(&self) -> u32 {
        self.registers.read(register::STATUS)
    }

    fn add_status(&self, bit: u32) {
        self.registers.write(register::STATUS, self.status() | bit);
    }
}

/// Returns the two 32-bit halves of a 64-bit value, lower half first.
#[expect(clippy::cast_possible_truncation, reason = "takes the value apart")]
const fn halves(value: u64) -> [u32; 2] {
    [value as u32, (value >> 32) as u32]
}
