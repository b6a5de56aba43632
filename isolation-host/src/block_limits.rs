//! Limits of a block device's requests, so that each request fits into the isolated area.
//!
//! Only block devices announce in their configuration how large a request may be. The guest sees
//! lower limits if the isolated area requires it. Requests of other device types are usually small:
//! frames, periods of sound, pages of a file.

use std::ops::Range;

use crate::device_type::DeviceType;
use crate::limits::LONGEST_CHAIN;

/// The device limits the size of a segment (`VIRTIO_BLK_F_SIZE_MAX`). Offered to every guest.
pub const SIZE_MAX: u64 = 1 << 1;

/// The offsets of `size_max` and `seg_max` in the configuration.
///
/// Both are little-endian numbers of 32 bits. See VIRTIO 1.4, 5.2.4 "Device configuration layout".
pub const FIELDS: Range<usize> = 8..16;

/// The largest number of bytes of a request that a guest is told: three times Linux's default.
///
/// In blocks of the isolated area this takes a dozen descriptors, which every ring has.
const MAX_BYTES: u64 = 4 << 20;
/// The largest number of bytes that stay unused when a request is placed in blocks.
const MARGIN: u64 = 128 << 10;
/// The largest number of data segments of a request. Header and status have to fit into the longest
/// chain as well.
const MAX_SEGMENTS: u32 = 1000;

const _: () = assert!(MAX_SEGMENTS as usize + 2 <= LONGEST_CHAIN);

/// The smallest `size_max` that Linux accepts is a page.
const PAGE: u32 = 4096;

/// The limits of a request's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest number of bytes of a segment.
    pub size_max: u32,
    /// The largest number of data segments.
    pub seg_max: u32,
}

impl Limits {
    /// Returns the limits with which each request fits into `share` bytes of the isolated area.
    ///
    /// `device` has the device's own limits, the bytes at [`FIELDS`]; 0 means no limit.
    #[must_use]
    pub fn new(device: [u8; 8], share: u64) -> Self {
        let [size_max, seg_max] = [[0, 1, 2, 3], [4, 5, 6, 7]].map(|at| {
            let number = u32::from_le_bytes(at.map(|at: usize| device.get(at).copied().unwrap_or(0)));
            if number == 0 { u32::MAX } else { number }
        });
        // The ring takes at most half of the share.
        let bytes = (share / 2).saturating_sub(MARGIN).min(MAX_BYTES);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).max(PAGE);
        let seg_max = seg_max.min(MAX_SEGMENTS).min(bytes / PAGE);
        Self { size_max: size_max.min(bytes / seg_max / PAGE * PAGE), seg_max }
    }

    /// Writes the limits into a part of the configuration that begins at `offset`.
    pub fn apply(self, config: &mut [u8], offset: usize) {
        let fields = self.size_max.to_le_bytes().into_iter().chain(self.seg_max.to_le_bytes());
        for (at, byte) in FIELDS.zip(fields) {
            if let Some(place) = at.checked_sub(offset).and_then(|at| config.get_mut(at)) {
                *place = byte;
            }
        }
    }
}

/// Returns the features that the guest is offered whether the device has them or not.
#[must_use]
pub const fn emulated(device_type: DeviceType) -> u64 {
    match device_type {
        DeviceType::Blk => SIZE_MAX,
        DeviceType::Net | DeviceType::Fs | DeviceType::Snd | DeviceType::Generic => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(size_max: u32, seg_max: u32) -> [u8; 8] {
        [size_max.to_le_bytes(), seg_max.to_le_bytes()].concat().try_into().unwrap()
    }

    #[test]
    fn the_usual_disk_keeps_its_number_of_segments() {
        let limits = Limits::new(fields(0, 126), 32 << 20);
        assert_eq!(limits, Limits { size_max: 32 << 10, seg_max: 126 });
    }

    #[test]
    fn lower_limits_of_the_device_are_kept() {
        assert_eq!(Limits::new(fields(8192, 4), 32 << 20), Limits { size_max: 8192, seg_max: 4 });
    }

    #[test]
    fn limits_are_written_into_any_part_of_the_configuration() {
        let limits = Limits { size_max: 0x0403_0201, seg_max: 0x0807_0605 };
        let whole: Vec<u8> = [[0; 8], [1, 2, 3, 4, 5, 6, 7, 8], [0; 8]].concat();
        for from in 0..24 {
            for to in from..24 {
                let mut piece = vec![0; to - from];
                limits.apply(&mut piece, from);
                assert_eq!(piece, whole[from..to], "{from} {to}");
            }
        }
    }
}
