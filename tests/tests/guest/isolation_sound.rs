//! Linux's sound driver in a real guest uses snd-host through isolation-host.

use std::error::Error;

use end_to_end::artifacts::{GuestImage, Profile, program};
use end_to_end::duplex::Run;
use end_to_end::memory;
use end_to_end::playback::Ring;
use end_to_end::visible::Visible;

const SECONDS: u8 = 3;
/// The content of a file in the guest.
const SECRET: &[u8] = b"a file that the sound card has nothing to do with";

/// snd-host maps none of the guest's memory.
#[test]
fn a_guest_plays_and_records_bit_exact_with_an_isolated_snd_host() -> Result<(), Box<dyn Error>> {
    for ring in [Ring::Split, Ring::Packed] {
        let directory = tempfile::tempdir()?;
        let run = Run {
            program: &program("snd-host", Profile::Debug)?,
            isolated_by: Some(&program("isolation-host", Profile::Debug)?),
            image: &GuestImage::prepared()?,
            seconds: SECONDS,
            ring,
            directory: directory.path(),
            secret: SECRET,
        }
        .play()
        // The test runner formats the error with `Debug`, which puts logs into one line.
        .inspect_err(|error| eprintln!("{error}"))?;
        let (played, recorded) = (&run.played.report, &run.recorded.report);
        println!("snd-host with {ring} rings: played {played}, recorded {recorded}");
        assert!(run.is_exact());
        assert!(run.memory.iter().eq([memory::ISOLATED]), "{:?}", run.memory);
        let secrets = |all: &[Visible]| all.iter().map(Visible::secrets).sum::<u32>();
        assert_eq!(secrets(&run.visible.device), 0);
        assert_ne!(secrets(&run.visible.qemu), 0);
    }
    Ok(())
}
