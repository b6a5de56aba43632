//! How a request is cut into descriptors, as pure arithmetic.

use ring_core::Segment;

/// The lengths of what the device sees of one direction of a request; 0 where there is nothing.
pub type Frame = [u64; 3];

/// Cuts one direction of a request for the device: the first and the last segment stay descriptors of their
/// own, those between them become one.
///
/// A device must not rely on how a request is cut, but widespread ones do: SPDK's and QEMU's block devices
/// want a request's header alone in the first descriptor and its status alone in the last one. Data between
/// them may be cut anyhow, and the fewer pieces the better. Empty segments are dropped: some devices stop
/// serving a queue in which they see one.
#[must_use]
pub fn frame(segments: &[Segment]) -> Frame {
    let mut lengths = segments.iter().map(|segment| u64::from(segment.len)).filter(|len| *len > 0);
    let (first, last) = (lengths.next().unwrap_or(0), lengths.next_back().unwrap_or(0));
    [first, lengths.sum(), last]
}

/// Walks over two sequences of segments with the same bytes in step: the address of each common piece in the
/// first, the one in the second, and the piece's length, for the first `len` bytes.
pub fn in_step<'s>(
    mut first: &'s [Segment],
    mut second: &'s [Segment],
    len: u64,
) -> impl Iterator<Item = (u64, u64, u32)> + use<'s> {
    let (mut gone_of_first, mut gone_of_second, mut left) = (0, 0, len);
    std::iter::from_fn(move || {
        loop {
            let (a, b) = (first.first()?, second.first()?);
            let (rest_of_first, rest_of_second) = (a.len - gone_of_first, b.len - gone_of_second);
            let piece = rest_of_first.min(rest_of_second);
            let piece = u32::try_from(left).map_or(piece, |left| piece.min(left));
            let found = (a.address + u64::from(gone_of_first), b.address + u64::from(gone_of_second), piece);
            gone_of_first += piece;
            gone_of_second += piece;
            left -= u64::from(piece);
            if gone_of_first == a.len {
                (first, gone_of_first) = (first.get(1..).unwrap_or_default(), 0);
            }
            if gone_of_second == b.len {
                (second, gone_of_second) = (second.get(1..).unwrap_or_default(), 0);
            }
            if piece > 0 {
                return Some(found);
            }
            if left == 0 {
                return None;
            }
        }
    })
}

/// The address of the last byte of a sequence of segments.
#[must_use]
pub fn last_byte(segments: &[Segment]) -> Option<u64> {
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
    fn a_header_and_a_status_stay_alone() {
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

    /// The addresses of all bytes, in order.
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
        fn a_frame_has_all_bytes(cuts in prop::collection::vec(0u32..40, 0..8)) {
            let framed = frame(&segments(&cuts));
            prop_assert_eq!(framed.iter().sum::<u64>(), cuts.iter().copied().map(u64::from).sum::<u64>());
        }
    }
}
