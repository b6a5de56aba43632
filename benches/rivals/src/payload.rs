//! The bytes that a device copies, and the check that the bytes arrive.

use ring_core::Segment;
use ring_core::memory::Memory as _;

use crate::fixture::Fixture;

/// The number of bytes that each request carries in each direction.
pub const BYTES: usize = 4096;

/// Returns the bytes that the request with this cookie carries.
fn pattern(cookie: u16) -> impl Iterator<Item = u8> {
    let [own, _] = cookie.to_le_bytes();
    (0..=u16::MAX).map(move |index| {
        let [low, high] = index.to_le_bytes();
        low ^ high ^ own
    })
}

/// Writes the pattern to the readable segments of each request.
///
/// # Panics
///
/// If a segment is outside the arena.
pub fn fill(fixture: &Fixture) {
    let memory = fixture.arena.raw();
    for request in &fixture.requests {
        let mut bytes = pattern(request.cookie);
        for &Segment { address, len } in request.readable() {
            let part: Vec<u8> = bytes.by_ref().take(len as usize).collect();
            memory.write_bytes(address, &part).expect("the arena has room for buffers");
        }
    }
}

/// Compares the writable segments of each request with the pattern.
///
/// # Panics
///
/// If a byte differs.
pub fn verify(fixture: &Fixture) {
    let memory = fixture.arena.raw();
    for request in &fixture.requests {
        let mut bytes = pattern(request.cookie);
        for &Segment { address, len } in request.writable() {
            let mut part = vec![0; len as usize];
            memory.read_bytes(address, &mut part).expect("the arena has room for buffers");
            assert!(part.into_iter().eq(bytes.by_ref().take(len as usize)), "bytes were lost");
        }
    }
}
