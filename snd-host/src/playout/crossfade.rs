//! A transition from one piece of audio to another.

use crate::pcm::Params;

/// Fades from the frames in `from` to as many frames of `to`, and leaves the result in `to`.
pub(super) fn crossfade<'t>(params: &Params, from: &[u8], to: impl Iterator<Item = &'t mut [u8]>) {
    let size = params.frame_bytes() as usize;
    let frames = from.len() / size;
    for (index, (old, new)) in from.chunks_exact(size).zip(to).enumerate() {
        let samples =
            old.chunks_exact(params.sample_bytes()).zip(new.chunks_exact_mut(params.sample_bytes()));
        for (old, new) in samples {
            params.format.mix(old, new, index + 1, frames + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pcm::tests::of_every_format;

    #[test]
    fn a_fade_between_equal_pieces_changes_nothing_in_any_format() {
        for params in of_every_format() {
            let bytes: Vec<u8> = params.silence().repeat(48);
            let mut to = bytes.clone();
            crossfade(&params, &bytes, to.chunks_exact_mut(params.frame_bytes() as usize));
            assert!(to == bytes, "{params}");
        }
    }

    #[test]
    fn a_fade_goes_from_the_old_piece_to_the_new_in_equal_steps() {
        let params = crate::pcm::tests::s16_stereo();
        let frames = |sample: i16| sample.to_le_bytes().repeat(2).repeat(3);
        let mut to = frames(4000);
        crossfade(&params, &frames(-4000), to.chunks_exact_mut(4));
        let samples: Vec<i16> =
            to.chunks_exact(4).map(|frame| i16::from_le_bytes([frame[0], frame[1]])).collect();
        assert_eq!(samples, [-2000, 0, 2000]);
    }

    #[test]
    fn the_extremes_of_every_format_are_mixed_without_overflow() {
        for params in of_every_format() {
            let (low, high) = params.format.extremes();
            let frames = |sample: &[u8]| sample.repeat(2).repeat(7);
            let mut to = frames(&high);
            crossfade(&params, &frames(&low), to.chunks_exact_mut(params.frame_bytes() as usize));
            let middle = &to[3 * params.frame_bytes() as usize..][..params.sample_bytes()];
            // The middle between the extremes is silence, up to rounding.
            let mut silence = params.silence()[..params.sample_bytes()].to_vec();
            assert!(params.format.distance(middle, &silence) <= 1.0, "{params}: {middle:x?}");
            params.format.mix(&high, &mut silence, 0, 1);
            assert_eq!(silence, high, "{params}");
        }
    }
}
