//! Where the bits of a sample are: GStreamer has no samples of 20 bits in the low end of four bytes, but of 24.

use crate::pcm::Params;

/// Moves the bits of a guest's samples to where GStreamer has them.
pub(super) fn to_host(params: &Params, frames: &mut [u8]) {
    move_bits(params, frames, |sample, bits| sample << bits);
}

/// Moves the bits of samples to where the guest has them.
pub(super) fn to_guest(params: &Params, frames: &mut [u8]) {
    move_bits(params, frames, |sample, bits| sample >> bits);
}

/// Whether a sample has a sign shows in its highest bits, which stay: those without one have none there.
fn move_bits(params: &Params, frames: &mut [u8], shift: impl Fn(i32, u8) -> i32) {
    let bits = params.format.headroom;
    if bits == 0 {
        return;
    }
    for sample in frames.as_chunks_mut().0 {
        *sample = shift(i32::from_le_bytes(*sample), bits).to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pcm::tests::of_every_format;

    #[test]
    fn twenty_bits_become_the_upper_ones_of_twenty_four_and_come_back() {
        let mut moved = 0;
        for params in of_every_format() {
            let guest = [0x0007_ffff, -0x0008_0000, -1, 0, 1].map(i32::to_le_bytes).concat();
            let mut frames = guest.clone();
            to_host(&params, &mut frames);
            if frames != guest {
                moved += 1;
                assert_eq!(frames, [0x007f_fff0, -0x0080_0000, -16, 0, 16].map(i32::to_le_bytes).concat());
            }
            to_guest(&params, &mut frames);
            assert_eq!(frames, guest);
        }
        assert_eq!(moved, 2, "S20 and U20");
    }
}
