//! Linux's sound driver in a real guest finds volumes, switches, jacks and channel maps, and turns them.

use std::error::Error;
use std::time::Duration;

use end_to_end::artifacts::{GuestImage, Profile, program};
use end_to_end::guest::Overlay;
use end_to_end::playback::{Ring, Session, Visit};

const SCRIPT: &str = "
    amixer -c 0 controls
    amixer -q -c 0 cset name='Master Playback Volume' 60
    amixer -q -c 0 cset name='Master Playback Switch' off
    amixer -c 0 sget Master
    amixer -c 0 cget iface=CARD,name='Line Out Jack'
    aplay -q -D hw:0,0 -f S16_LE -c 2 -r 48000 -d 1 /dev/zero";

/// What the guest has to say, among other things.
const SAYS: [&str; 10] = [
    "name='Master Playback Volume'",
    "name='Master Playback Volume',index=1",
    "name='Master Playback Switch'",
    "name='Capture Volume'",
    "name='Capture Switch'",
    "name='Playback Channel Map'",
    "name='Capture Channel Map'",
    "name='Mic Jack'",
    "values=on",
    "Mono: Playback 60 [60%] [-20.00dB] [off]",
];

#[test]
fn a_guest_finds_and_turns_what_there_is_to_turn() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let session = Session {
        program: &program("snd-host", Profile::Debug)?,
        isolated_by: None,
        image: &GuestImage::prepared()?,
        ring: Ring::Packed,
        options: &["--controls", "--streams", "2,1", "--sink", "fakesink sync=true"],
        properties: &["controls=on"],
        writable: directory.path(),
        handed_over: None,
    };
    let Visit { guest, .. } = session
        .run(&Overlay::script(SCRIPT), Duration::from_secs(30))
        .inspect_err(|error| eprintln!("{error}"))?;
    let said = guest.output.join("\n");
    for words in SAYS {
        assert!(said.contains(words), "no {words} in:\n{said}");
    }
    Ok(())
}
