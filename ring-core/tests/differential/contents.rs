//! The contents of buffers. All contents differ, so that a byte in the wrong place is found.

/// Returns the bytes that the driver sends in request `cookie`.
pub(crate) fn question(cookie: u64) -> impl Iterator<Item = u8> {
    (0u8..).map(move |at| at.wrapping_mul(7).wrapping_add(cookie.to_le_bytes()[0]))
}

/// Returns the bytes that the device answers to `question`.
pub(crate) fn answer(question: &[u8], room: usize) -> Vec<u8> {
    let sum =
        question.iter().fold(room.to_le_bytes()[0], |sum, &byte| sum.wrapping_mul(31).wrapping_add(byte));
    (0u8..).map(|at| sum.wrapping_sub(at)).take(room).collect()
}
