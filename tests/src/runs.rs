//! Divides a recording of the counting pattern into runs of successive frames.
//!
//! A recording of the pattern has several runs if what played or recorded it was interrupted.

use crate::check::Found;

/// Successive frames of the pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The number of recorded frames before the run.
    pub position: usize,
    /// The number of silent frames directly before the run.
    pub silence: usize,
    /// The number that the first frame holds.
    pub first: u32,
    /// The number that follows the number of the last frame.
    pub end: u32,
}

/// A recorded frame that is neither silent nor a frame of the pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("recorded frame {position} is neither silent nor a frame of the pattern")]
pub struct ForeignFrame {
    /// The number of recorded frames before the frame.
    pub position: usize,
}

/// Divides a recording into runs. Silence after the last run is ignored.
///
/// # Errors
/// Fails if a frame is neither silent nor a frame of the pattern.
pub fn runs(recording: &[Found]) -> Result<Vec<Run>, ForeignFrame> {
    let mut runs: Vec<Run> = Vec::new();
    let mut silence = 0;
    for (position, found) in recording.iter().enumerate() {
        let number = match *found {
            Found::Number(number) => number,
            Found::Silence => {
                silence += 1;
                continue;
            }
            Found::Foreign => return Err(ForeignFrame { position }),
        };
        match runs.last_mut() {
            Some(run) if silence == 0 && run.end == number => run.end += 1,
            _ => runs.push(Run { position, silence, first: number, end: number + 1 }),
        }
        silence = 0;
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Found::{Foreign, Number, Silence};

    #[test]
    fn silence_and_jumps_begin_new_runs() {
        let recording =
            [Silence, Number(0), Number(1), Number(5), Silence, Silence, Number(6), Number(0), Silence];
        let run = |position, silence, first, end| Run { position, silence, first, end };
        let expected = [run(1, 1, 0, 2), run(3, 0, 5, 6), run(6, 2, 6, 7), run(7, 0, 0, 1)];
        assert_eq!(runs(&recording), Ok(expected.to_vec()));
    }

    #[test]
    fn a_foreign_frame_is_an_error() {
        assert_eq!(runs(&[Number(0), Foreign]), Err(ForeignFrame { position: 1 }));
    }
}
