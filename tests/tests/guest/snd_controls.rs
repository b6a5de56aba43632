//! Linux's sound driver in a real guest finds and sets volumes, switches, jacks and channel maps.

use std::error::Error;
use std::time::Duration;

use end_to_end::artifacts::{GuestImage, Profile, program};
use end_to_end::guest::Overlay;
use end_to_end::playback::{Outcome, Ring, Session};

const SCRIPT: &str = "
    amixer -c 0 controls
    amixer -q -c 0 cset name='Master Playback Volume' 60
    amixer -q -c 0 cset name='Master Playback Switch' off
    amixer -c 0 sget Master
    amixer -c 0 cget iface=CARD,name='Line Out Jack'
    aplay -q -D hw:0,0 -f S16_LE -c 2 -r 48000 -d 1 /dev/zero";

/// Texts that the guest's output has to contain.
const EXPECTED: [&str; 10] = [
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
fn a_guest_finds_and_sets_every_control_element() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let (program, image) = (program("snd-host", Profile::Debug)?, GuestImage::prepared()?);
    let session = Session {
        options: &["--controls", "--streams", "2,1", "--sink", "fakesink sync=true"],
        properties: &["controls=on"],
        ..Session::new(&program, &image, Ring::Packed, directory.path())
    };
    let Outcome { guest, .. } = session
        .run(&Overlay::script(SCRIPT), Duration::from_secs(30))
        .inspect_err(|error| eprintln!("{error}"))?;
    let output = guest.output.join("\n");
    for words in EXPECTED {
        assert!(output.contains(words), "no {words} in:\n{output}");
    }
    Ok(())
}
