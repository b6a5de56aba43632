//! The requests of vhost-vdpa devices as types (`linux/vhost.h`), and the ioctl that makes them.
//!
//! The `vhost` crate has these requests, too, but not as this process needs them: its vring base
//! has 16 bits, so a packed queue cannot be started; it cannot change mappings in a batch; its
//! `set_group_asid` issues another request; and it lacks `VHOST_VDPA_GET_VRING_SIZE`.

// UNSAFETY: the kernel reads and writes the arguments of the requests through pointers.
#![expect(unsafe_code)]

use std::ffi::c_void;
use std::os::fd::AsFd;

use rustix::ioctl::{Direction, Ioctl, IoctlOutput, Opcode, ioctl, opcode};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::protocol::payload::{VringAddr, VringState};

/// The group of all vhost requests.
const GROUP: u8 = 0xAF;

/// A request of a vhost-vdpa device.
///
/// # Safety
///
/// When the kernel handles the request, it must access at most the argument, and every value that
/// it writes must be valid for the type of the argument.
pub(crate) unsafe trait VhostCall {
    /// What the kernel reads or writes.
    type Argument;
    /// The request's number, as ioctl takes it.
    const OPCODE: Opcode;
}

/// A file descriptor for one queue.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct VringFile {
    pub(crate) index: u32,
    pub(crate) fd: i32,
}

/// The addresses that a device can use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct IovaRange {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

/// A part of the configuration.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct ConfigPart {
    offset: u32,
    /// The number of bytes that the kernel accesses: at most the length of `bytes`.
    len: u32,
    bytes: [u8; ConfigPart::MAX],
}

impl ConfigPart {
    /// The largest number of bytes of a part.
    pub(crate) const MAX: usize = 256;

    /// Makes the part at `offset` with these bytes, unless there are more than [`MAX`](Self::MAX).
    pub(crate) fn new(offset: u32, content: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::MAX];
        bytes.get_mut(..content.len())?.copy_from_slice(content);
        Some(Self { offset, len: u32::try_from(content.len()).ok()?, bytes })
    }

    /// Returns the bytes of the part.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len as usize).unwrap_or_default()
    }
}

/// Defines requests by their name, direction, number, argument, and the size that is a part of the
/// number.
macro_rules! requests {
    ($($name:ident, $direction:ident, $number:literal, $argument:ty, $size:expr;)*) => {$(
        #[derive(Debug)]
        pub(crate) enum $name {}

        // SAFETY: `linux/vhost.h` has the same structure for the number. Behind the first two
        // fields of a `ConfigPart`, the kernel accesses `len` bytes, and the part has at least as
        // many. All arguments consist of integers, for which every value is valid.
        unsafe impl VhostCall for $name {
            type Argument = $argument;
            const OPCODE: Opcode = opcode::from_components(Direction::$direction, GROUP, $number, $size);
        }
    )*};
}

requests! {
    SetOwner, None, 0x01, (), 0;
    GetFeatures, Read, 0x00, u64, 8;
    SetFeatures, Write, 0x00, u64, 8;
    SetVringNum, Write, 0x10, VringState, 8;
    SetVringAddr, Write, 0x11, VringAddr, 40;
    SetVringBase, Write, 0x12, VringState, 8;
    SetVringKick, Write, 0x20, VringFile, 8;
    SetVringCall, Write, 0x21, VringFile, 8;
    SetBackendFeatures, Write, 0x25, u64, 8;
    GetBackendFeatures, Read, 0x26, u64, 8;
    GetDeviceId, Read, 0x70, u32, 4;
    GetStatus, Read, 0x71, u8, 1;
    SetStatus, Write, 0x72, u8, 1;
    GetConfig, Read, 0x73, ConfigPart, 8;
    SetConfig, Write, 0x74, ConfigPart, 8;
    SetVringEnable, Write, 0x75, VringState, 8;
    GetVringNum, Read, 0x76, u16, 2;
    SetConfigCall, Write, 0x77, i32, 4;
    GetIovaRange, Read, 0x78, IovaRange, 16;
    GetConfigSize, Read, 0x79, u32, 4;
    GetVqsCount, Read, 0x80, u32, 4;
    GetVringSize, ReadWrite, 0x82, VringState, 8;
}

// For the test of the sandbox, which allows only the requests above.
#[cfg(test)]
requests! {
    ResetOwner, None, 0x02, (), 0;
}

/// The numbers of all requests, which the sandbox allows.
pub(crate) const OPCODES: [Opcode; 22] = [
    SetOwner::OPCODE,
    GetFeatures::OPCODE,
    SetFeatures::OPCODE,
    SetVringNum::OPCODE,
    SetVringAddr::OPCODE,
    SetVringBase::OPCODE,
    SetVringKick::OPCODE,
    SetVringCall::OPCODE,
    SetBackendFeatures::OPCODE,
    GetBackendFeatures::OPCODE,
    GetDeviceId::OPCODE,
    GetStatus::OPCODE,
    SetStatus::OPCODE,
    GetConfig::OPCODE,
    SetConfig::OPCODE,
    SetVringEnable::OPCODE,
    GetVringNum::OPCODE,
    SetConfigCall::OPCODE,
    GetIovaRange::OPCODE,
    GetConfigSize::OPCODE,
    GetVqsCount::OPCODE,
    GetVringSize::OPCODE,
];

/// A request with its argument, as rustix makes it.
struct Call<'a, C: VhostCall>(&'a mut C::Argument);

// SAFETY: the opcode and the argument belong together, as `VhostCall` requires. The argument is
// borrowed mutably while the system call lasts, and there is no output that would be a pointer.
unsafe impl<C: VhostCall> Ioctl for Call<'_, C> {
    type Output = ();

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        C::OPCODE
    }

    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut *self.0).cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut c_void) -> rustix::io::Result<()> {
        Ok(())
    }
}

/// Makes a request to a vhost-vdpa device.
pub(crate) fn vhost_call<C: VhostCall>(
    device: impl AsFd,
    argument: &mut C::Argument,
) -> rustix::io::Result<()> {
    // SAFETY: `Call` describes what the kernel does with the argument. A file that is no vhost
    // device refuses the number.
    unsafe { ioctl(device, Call::<C>(argument)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_kernels_header() {
        assert_eq!(SetOwner::OPCODE, 0xAF01);
        assert_eq!(GetFeatures::OPCODE, 0x8008_AF00);
        assert_eq!(SetVringAddr::OPCODE, 0x4028_AF11);
        assert_eq!(GetConfig::OPCODE, 0x8008_AF73);
        assert_eq!(GetVringSize::OPCODE, 0xC008_AF82);
        assert_eq!(size_of::<VringAddr>(), 40);
    }

    #[test]
    fn a_part_of_the_configuration_has_at_most_256_bytes() {
        assert_eq!(ConfigPart::new(0, &[7; 3]).map(|part| part.bytes().to_owned()), Some(vec![7; 3]));
        assert!(ConfigPart::new(0, &[0; 256]).is_some() && ConfigPart::new(0, &[0; 257]).is_none());
    }
}
