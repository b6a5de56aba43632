//! Linux's sound driver in a real guest plays through snd-host.

use std::error::Error;

use end_to_end::artifacts::{GuestImage, Profile, program};
use end_to_end::pattern::Pattern;
use end_to_end::playback::{Ring, play};

#[test]
fn a_guest_plays_the_counting_pattern_bit_exact_over_split_rings() -> Result<(), Box<dyn Error>> {
    the_counting_pattern_arrives_bit_exact(Ring::Split)
}

#[test]
fn a_guest_plays_the_counting_pattern_bit_exact_over_packed_rings() -> Result<(), Box<dyn Error>> {
    the_counting_pattern_arrives_bit_exact(Ring::Packed)
}

fn the_counting_pattern_arrives_bit_exact(ring: Ring) -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let run = play(
        &program("snd-host", Profile::Debug)?,
        &GuestImage::prepared()?,
        Pattern::seconds(5),
        ring,
        &directory.path().join("recording.wav"),
    )
    .inspect_err(|error| eprintln!("{error}"))?;
    assert!(run.recorded.is_exact(), "{}\nsnd-host's log:\n{}", run.recorded, run.daemon_log.join("\n"));
    Ok(())
}
