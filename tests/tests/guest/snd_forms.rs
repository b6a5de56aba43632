//! Linux's sound driver in a real guest plays every form of audio bit-exact.

use std::error::Error;

use end_to_end::artifacts::{GuestImage, Profile, program};
use end_to_end::matrix::{self, Case};

/// The number of selected cases. For any two properties, each pair of choices occurs in at least
/// one case.
const SELECTED: usize = 24;

#[test]
fn every_form_of_audio_is_bit_exact_from_the_first_frame_to_the_last() -> Result<(), Box<dyn Error>> {
    let full = std::env::var_os(matrix::FULL).is_some();
    let cases: Vec<Case> = if full { matrix::all() } else { matrix::pairwise(SELECTED) };
    let (mut played, mut wrong) = (0, 0);
    let snd_host = program("snd-host", Profile::Debug)?;
    let done = matrix::play(&snd_host, &GuestImage::prepared()?, &cases, |case, report| {
        played += 1;
        println!("{played} of {}: {case}: {report}", cases.len());
        wrong += usize::from(!report.is_exact());
    });
    done.inspect_err(|error| eprintln!("{error}"))?;
    assert_eq!((played, wrong), (cases.len(), 0));
    Ok(())
}
