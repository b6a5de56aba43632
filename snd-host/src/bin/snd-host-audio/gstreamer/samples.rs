//! The alignment of the bits of a sample.
//!
//! GStreamer has formats of 24 bits in the low end of four bytes, but none of 20 bits.

use snd_host::pcm::Params;

/// Converts samples from the guest's alignment to GStreamer's.
pub(crate) fn to_host(params: &Params, frames: &mut [u8]) {
    move_bits(params, frames, |sample, bits| sample << bits);
}

/// Converts samples from GStreamer's alignment to the guest's.
pub(crate) fn to_guest(params: &Params, frames: &mut [u8]) {
    move_bits(params, frames, |sample, bits| sample >> bits);
}

/// Shifts each sample. The shift is arithmetic: it keeps the sign of signed samples, and the
/// highest bits of unsigned samples are 0.
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
    use snd_host::FORMATS;

    #[test]
    fn twenty_bits_become_the_upper_bits_of_24_and_are_restored() {
        let mut moved = 0;
        for params in FORMATS.iter().map(|format| Params { format, ..Params::USUAL }) {
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
