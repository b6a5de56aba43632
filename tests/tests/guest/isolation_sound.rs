//! Linux's sound driver in a real guest uses snd-host through isolation-host.

use std::error::Error;

use end_to_end::artifacts::{GuestImage, Profile, program};
use end_to_end::duplex;
use end_to_end::memory;
use end_to_end::playback::Ring;

const SECONDS: u8 = 3;

/// snd-host maps none of the guest's memory.
#[test]
fn a_guest_plays_and_records_bit_exact_with_an_isolated_snd_host() -> Result<(), Box<dyn Error>> {
    for ring in [Ring::Split, Ring::Packed] {
        let directory = tempfile::tempdir()?;
        let run = duplex::run(
            &program("snd-host", Profile::Debug)?,
            Some(&program("isolation-host", Profile::Debug)?),
            &GuestImage::prepared()?,
            SECONDS,
            ring,
            directory.path(),
        )
        // The test runner formats the error with `Debug`, which puts logs into one line.
        .inspect_err(|error| eprintln!("{error}"))?;
        println!("snd-host with {ring} rings: played {}, recorded {}", run.played, run.recorded);
        assert!(run.played.is_exact() && run.recorded.is_exact());
        assert!(run.memory.iter().eq([memory::ISOLATED]), "{:?}", run.memory);
    }
    Ok(())
}
