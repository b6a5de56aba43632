//! A hand-written peer, which can write anything anywhere.

use ring_core::memory::{Memory as _, RawMemory};
use ring_core::{Features, Segment};
use support::{DESCRIPTORS, DEVICE, DRIVER};

pub(crate) const NEXT: u16 = 1;
pub(crate) const WRITE: u16 = 2;
pub(crate) const INDIRECT_TABLE: u16 = 4;
/// The flags of a packed descriptor that is available on the first lap.
pub(crate) const AVAILABLE: u16 = 1 << 7;
/// The flags of a packed descriptor that is used on the first lap.
pub(crate) const USED: u16 = 1 << 7 | 1 << 15;
/// The flags of a packed descriptor that is available on the second lap.
pub(crate) const AVAILABLE_AGAIN: u16 = 1 << 15;

pub(crate) fn put16(memory: &RawMemory<'_>, address: u64, value: u16) {
    memory.write_bytes(address, &value.to_le_bytes()).unwrap();
}

pub(crate) fn get16(memory: &RawMemory<'_>, address: u64) -> u16 {
    let mut bytes = [0; 2];
    memory.read_bytes(address, &mut bytes).unwrap();
    u16::from_le_bytes(bytes)
}

/// Writes a descriptor: `flags` and `next` in a split queue, `id` and `flags` in a packed queue.
pub(crate) fn descriptor(memory: &RawMemory<'_>, address: u64, segment: Segment, third: u16, fourth: u16) {
    memory.write_bytes(address, &segment.address.to_le_bytes()).unwrap();
    memory.write_bytes(address + 8, &segment.len.to_le_bytes()).unwrap();
    put16(memory, address + 12, third);
    put16(memory, address + 14, fourth);
}

/// Returns the last eight bytes of descriptor `slot`: its length and two 16-bit fields.
pub(crate) fn meta(memory: &RawMemory<'_>, slot: u64) -> (u32, u16, u16) {
    let address = DESCRIPTORS + 16 * slot;
    let len = u32::from(get16(memory, address + 8)) | u32::from(get16(memory, address + 10)) << 16;
    (len, get16(memory, address + 12), get16(memory, address + 14))
}

/// Makes one chain available in a queue that has not run yet. The chain begins in slot 0 and has id
/// 0.
pub(crate) fn offer(memory: &RawMemory<'_>, features: Features, chain: &[(Segment, u16)]) {
    for (slot, &(segment, flags)) in (0..).zip(chain) {
        let address = DESCRIPTORS + 16 * u64::from(slot);
        if features.contains(Features::RING_PACKED) {
            descriptor(memory, address, segment, 0, flags | AVAILABLE);
        } else {
            descriptor(memory, address, segment, flags, slot + 1);
        }
    }
    if !features.contains(Features::RING_PACKED) {
        make_available(memory, &[0]);
    }
}

/// Makes these heads available in a split queue that has not run yet.
pub(crate) fn make_available(memory: &RawMemory<'_>, heads: &[u16]) {
    for (slot, &head) in (0..).zip(heads) {
        put16(memory, DRIVER + 4 + 2 * slot, head);
    }
    put16(memory, DRIVER + 2, u16::try_from(heads.len()).unwrap());
}

/// Writes the first used buffer of a queue that has not run yet, as a device does.
pub(crate) fn make_used(memory: &RawMemory<'_>, features: Features, id: u32, written: u32) {
    if features.contains(Features::RING_PACKED) {
        let id = u16::try_from(id).unwrap();
        descriptor(memory, DESCRIPTORS, Segment::new(0, written), id, USED | WRITE);
    } else {
        memory.write_bytes(DEVICE + 4, &id.to_le_bytes()).unwrap();
        memory.write_bytes(DEVICE + 8, &written.to_le_bytes()).unwrap();
        put16(memory, DEVICE + 2, 1);
    }
}
