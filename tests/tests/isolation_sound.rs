//! Linux's sound driver in a real guest, through isolation-host, to snd-host.

use std::error::Error;
use std::time::Duration;

use end_to_end::artifacts::{GuestImage, Profile, program};
use end_to_end::daemon::Daemon;
use end_to_end::forwarding::start_forwarder;
use end_to_end::guest::{Device, Guest, Overlay, VirtioDevice};
use end_to_end::pattern::Pattern;
use end_to_end::playback::wav_sink;

const BOOT_AND_PLAY: Duration = Duration::from_secs(120);

#[test]
fn a_guest_plays_bit_exact_to_a_sound_host_that_has_none_of_its_memory() -> Result<(), Box<dyn Error>> {
    for ring in ["split", "packed"] {
        let directory = tempfile::tempdir()?;
        let recording = directory.path().join("recording.wav");
        let pattern = Pattern::seconds(3);
        let sink = wav_sink(&recording);
        let mut sound = Daemon::start(
            &program("snd-host", Profile::Debug)?,
            &directory.path().join("snd.sock"),
            [
                "--ring".as_ref(),
                ring.as_ref(),
                "--sink".as_ref(),
                sink.as_ref(),
                "--writable".as_ref(),
                directory.path(),
            ],
        )?;
        let mut forwarder = start_forwarder(directory.path(), sound.socket(), &["--device", "snd"])?;
        let overlay = Overlay::script("aplay -D hw:0,0 /pattern.wav").file("pattern.wav", pattern.to_wav());
        let device = Device::vhost_user("vhost-user-snd-pci", forwarder.socket());
        let guest = Guest::boot(&GuestImage::prepared()?, &device, &overlay)?;
        let run = guest.finish(BOOT_AND_PLAY).inspect_err(|error| {
            eprintln!("{error}\n{}\n{}", forwarder.log().join("\n"), sound.log().join("\n"));
        })?;
        // The guest has packed rings whatever snd-host uses.
        assert_eq!(run.only(VirtioDevice::SOUND).map(VirtioDevice::ring_packed), Some(true));
        sound.wait_until_closed(&recording)?;
        let recorded = pattern.check_wav(&recording)?;
        assert!(recorded.is_exact(), "{ring}: {recorded}\n{}", forwarder.log().join("\n"));
    }
    Ok(())
}
