//! The status byte of block requests.
//!
//! Each request of a block device ends with a writable byte for its status (VIRTIO 1.4, 5.2.6
//! "Device Operation"). The device writes the status even if `used.len` does not include it, as
//! with SPDK.

use super::pieces::Pieces;
use crate::guest_memory::View;
use ring_core::Segment;

/// `VIRTIO_BLK_S_OK`.
const OK: u8 = 0;
/// `VIRTIO_BLK_S_IOERR`: the status of a request that fails without the device, or to which the
/// device gives no status.
pub(super) const FAILED: u8 = 1;
/// `VIRTIO_BLK_T_IN`, the type of a read, which is in the first four bytes of the request.
const READ: [u8; 4] = 0u32.to_le_bytes();

/// Returns the status for the guest. The device has used a request with `status` and claims to have
/// written `written` bytes.
///
/// A read is successful only if the device claims to have written all of its data. Devices report
/// the length of other requests in different ways.
pub(super) fn believed(guest: &View<'_>, request: &Pieces, written: u32, status: u8) -> u8 {
    let data = Segment::total(request.writable()).saturating_sub(1);
    if status == OK && u64::from(written) < data && is_read(guest, request) { FAILED } else { status }
}

/// Returns whether the request is a read.
///
/// The guest may change the request while the device has it, but this harms only the guest.
fn is_read(guest: &View<'_>, request: &Pieces) -> bool {
    let first = request.readable().iter().find(|segment| segment.len > 0);
    let mut kind = [0xff; READ.len()];
    first.is_some_and(|first| guest.read_bytes(first.address, &mut kind).is_ok()) && kind == READ
}
