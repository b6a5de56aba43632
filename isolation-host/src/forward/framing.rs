//! Divides a request into descriptors for the device.

use ring_core::Segment;

/// The lengths of up to three descriptors that carry one direction of a request. 0 stands for none.
pub(super) type Frame = [u64; 3];

/// Divides one direction of a request into descriptors for the device.
///
/// The first and the last segment keep descriptors of their own; all segments between them become
/// one descriptor.
///
/// A device must not rely on the division of a request, but the block devices of SPDK and QEMU do:
/// they require the header alone in the first descriptor, and the status alone in the last
/// descriptor. Between these two, fewer descriptors are better. Empty segments are dropped, because
/// some devices stop serving a queue with an empty segment.
pub(super) fn frame(segments: &[Segment]) -> Frame {
    let mut lengths = segments.iter().map(|segment| u64::from(segment.len)).filter(|len| *len > 0);
    let (first, last) = (lengths.next().unwrap_or(0), lengths.next_back().unwrap_or(0));
    [first, lengths.sum(), last]
}

/// Pairs the first `len` bytes of two sequences of segments.
///
/// Yields the longest pieces that are contiguous in both: the address in `first`, the address in
/// `second`, and the length.
pub(super) fn in_step<'s>(
    mut first: &'s [Segment],
    mut second: &'s [Segment],
    len: u64,
) -> impl Iterator<Item = (u64, u64, u32)> + use<'s> {
    let (mut done_of_first, mut done_of_second, mut left) = (0, 0, len);
    std::iter::from_fn(move || {
        loop {
            let (a, b) = (first.first()?, second.first()?);
            let piece = (a.len - done_of_first).min(b.len - done_of_second);
            let piece = u32::try_from(left).map_or(piece, |left| piece.min(left));
            let pair = (a.address + u64::from(done_of_first), b.address + u64::from(done_of_second), piece);
            done_of_first += piece;
            done_of_second += piece;
            left -= u64::from(piece);
            if done_of_first == a.len {
                (first, done_of_first) = (first.get(1..).unwrap_or_default(), 0);
            }
            if done_of_second == b.len {
                (second, done_of_second) = (second.get(1..).unwrap_or_default(), 0);
            }
            if piece > 0 {
                return Some(pair);
            }
            if left == 0 {
                return None;
            }
        }
    })
}

/// Returns the address of the last byte of a sequence of segments.
pub(super) fn last_byte(segments: &[Segment]) -> Option<u64> {
    let last = segments.iter().rev().find(|segment| segment.len > 0)?;
    Some(last.address + u64::from(last.len - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn segments(lengths: &[u32]) -> Vec<Segment> {
        let mut at = 0;
        lengths
            .iter()
            .map(|&len| {
                at += u64::from(len) + 7;
                Segment::new(at, len)
            })
            .collect()
    }

    #[test]
    fn header_and_status_keep_descriptors_of_their_own() {
        let framed = |lengths: &[u32]| frame(&segments(lengths));
        assert_eq!(framed(&[16, 4096, 4096, 512]), [16, 8192, 512]);
        assert_eq!(framed(&[4096, 4096, 1]), [4096, 4096, 1]);
        assert_eq!(framed(&[16, 1]), [16, 0, 1]);
        assert_eq!(framed(&[1]), [1, 0, 0]);
        assert_eq!(framed(&[]), [0; 3]);
    }

    #[test]
    fn empty_segments_do_not_reach_the_device() {
        assert_eq!(frame(&segments(&[0, 16, 0, 0, 8, 0])), [16, 0, 8]);
        assert_eq!(frame(&segments(&[0, 0])), [0; 3]);
    }

    /// Returns the addresses of all bytes, in order.
    fn addresses(segments: &[Segment]) -> Vec<u64> {
        segments
            .iter()
            .flat_map(|segment| segment.address..segment.address + u64::from(segment.len))
            .collect()
    }

    proptest! {
        #[test]
        fn in_step_pairs_every_byte_once_and_in_order(
            cuts in prop::collection::vec(0u32..40, 0..8),
            others in prop::collection::vec(0u32..40, 0..8),
            len in 0u64..400,
        ) {
            let (first, second) = (segments(&cuts), segments(&others));
            let pairs: Vec<(u64, u64)> = in_step(&first, &second, len)
                .flat_map(|(a, b, len)| (0..u64::from(len)).map(move |at| (a + at, b + at)))
                .collect();
            let expected: Vec<(u64, u64)> = addresses(&first)
                .into_iter()
                .zip(addresses(&second))
                .take(usize::try_from(len).unwrap())
                .collect();
            prop_assert_eq!(pairs, expected);
        }

        #[test]
        fn a_frame_contains_all_bytes(cuts in prop::collection::vec(0u32..40, 0..8)) {
            let framed = frame(&segments(&cuts));
            prop_assert_eq!(framed.iter().sum::<u64>(), cuts.iter().copied().map(u64::from).sum::<u64>());
        }
    }
}
