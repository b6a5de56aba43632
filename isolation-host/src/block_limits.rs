//! How large a guest may make its requests to a block device, so that each fits the isolated area.
//!
//! Only block devices say in their configuration how large requests may be; the guest is told of less where less
//! fits. The requests of the other types are bounded by what they are: frames, periods of sound, pages of a file.

use std::ops::Range;

use crate::device_type::DeviceType;

/// Whether the device limits a segment's size (`VIRTIO_BLK_F_SIZE_MAX`). Every guest can be told that.
pub const SIZE_MAX: u64 = 1 << 1;

/// Where the configuration has `size_max` and `seg_max`, two little-endian numbers of 32 bits (VIRTIO 1.4, 5.2.4
/// "Device configuration layout").
pub const FIELDS: Range<usize> = 8..16;

/// The most bytes of a request that a guest is ever told of: three times what Linux asks for unless it is told
/// otherwise. Cut into blocks of the isolated area they are a dozen descriptors, which any ring has.
const MOST_BYTES: u64 = 4 << 20;
/// What a block of the area may have in excess of what lies in it.
const MARGIN: u64 = 128 << 10;
/// The most segments: some less than the longest chain that is taken.
const MOST_SEGMENTS: u32 = 1000;
/// Linux has no segments of less than its pages.
const PAGE: u32 = 4096;

/// How a request is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of a segment.
    pub size_max: u32,
    /// The most segments of data.
    pub seg_max: u32,
}

impl Limits {
    /// What a guest is told of a device whose configuration has these bytes at [`FIELDS`], so that any request fits
    /// a queue's share of the area. 0 means that the device sets no limit.
    #[must_use]
    pub fn new(device: [u8; 8], share: u64) -> Self {
        let [size_max, seg_max] = [[0, 1, 2, 3], [4, 5, 6, 7]].map(|at| {
            let number = u32::from_le_bytes(at.map(|at: usize| device.get(at).copied().unwrap_or(0)));
            if number == 0 { u32::MAX } else { number }
        });
        // At most half of a share is its ring.
        let bytes = (share / 2).saturating_sub(MARGIN).min(MOST_BYTES);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).max(PAGE);
        let seg_max = seg_max.min(MOST_SEGMENTS).min(bytes / PAGE);
        Self { size_max: size_max.min(bytes / seg_max / PAGE * PAGE), seg_max }
    }

    /// Puts them in a piece of the configuration that begins at `offset`.
    pub fn apply(self, config: &mut [u8], offset: usize) {
        let fields = self.size_max.to_le_bytes().into_iter().chain(self.seg_max.to_le_bytes());
        for (at, byte) in FIELDS.zip(fields) {
            if let Some(place) = at.checked_sub(offset).and_then(|at| config.get_mut(at)) {
                *place = byte;
            }
        }
    }
}

/// The features that are offered to the guest of such a device whether the device has them or not.
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
    fn the_usual_disk_in_the_usual_area_keeps_its_segments() {
        let limits = Limits::new(fields(0, 126), 32 << 20);
        assert_eq!(limits, Limits { size_max: 32 << 10, seg_max: 126 });
    }

    #[test]
    fn what_the_device_limits_further_stays_so() {
        assert_eq!(Limits::new(fields(8192, 4), 32 << 20), Limits { size_max: 8192, seg_max: 4 });
    }

    #[test]
    fn they_are_put_where_they_belong_in_any_piece_of_the_configuration() {
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
