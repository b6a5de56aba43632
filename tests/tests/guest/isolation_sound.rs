//! Linux's sound driver in a real guest, through isolation-host, to snd-host.

use std::error::Error;

use end_to_end::artifacts::{GuestImage, Profile, program};
use end_to_end::duplex;
use end_to_end::memory;
use end_to_end::playback::Ring;

const SECONDS: u8 = 3;

#[test]
fn a_guest_plays_and_records_bit_exact_with_a_sound_host_that_has_none_of_its_memory()
-> Result<(), Box<dyn Error>> {
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
        // The test runner shows the error with `Debug`, which puts logs in one line.
        .inspect_err(|error| eprintln!("{error}"))?;
        println!("{ring} rings of snd-host's: played {}, recorded {}", run.played, run.recorded);
        assert!(run.played.is_exact() && run.recorded.is_exact());
        assert!(run.memory.iter().eq([memory::ISOLATED]), "{:?}", run.memory);
    }
    Ok(())
}
