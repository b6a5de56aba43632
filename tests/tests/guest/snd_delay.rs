//! The delay that a guest's applications see is the duration of the audio that was not heard yet.

use std::error::Error;
use std::time::Duration;

use end_to_end::artifacts::{GuestImage, Profile, program};
use end_to_end::guest::Overlay;
use end_to_end::playback::{Outcome, Ring, Session};

const RATE: f64 = 48_000.0;
/// The size of the buffer in frames.
const BUFFER: f64 = 7680.0;

/// The largest number of frames by which snd-host lets playback fall behind the guest's position,
/// plus one period.
const MOST_BEHIND: f64 = 2.0 * RATE + 480.0;

/// The number of samples that are taken while the card plays.
const SAMPLES: usize = 20;

/// Plays silence without end, and reads the sound card's status until there are 20 samples of a
/// card that plays. Each status is read between two readings of the clock. If the host is without a
/// processor for longer than the buffer lasts, Linux may stop the card; `aplay` is then started
/// again.
const SCRIPT: &str = "
    now() { head -n 3 /proc/timer_list | grep now; }
    form='-t raw -f S16_LE -c 2 -r 48000 --period-size=480 --buffer-size=7680'
    while :; do aplay -q -D hw:0,0 $form /dev/zero; done & player=$!
    samples=0
    while [ $samples -lt 20 ]; do
        now
        cat /proc/asound/card0/pcm0p/sub0/status | tee /status
        now
        if grep -q 'state: RUNNING' /status; then samples=$((samples + 1)); fi
    done
    kill $player";

/// One sample of the card's status.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    /// The time before the reading, in seconds.
    before: f64,
    /// The time after the reading.
    after: f64,
    /// Whether the card plays.
    runs: bool,
    /// The time at which the stream was started.
    started: f64,
    /// The delay that the guest sees until a frame written now is heard, in frames.
    delay: f64,
    /// The number of frames that can be written now.
    free: f64,
    /// The number of frames written.
    written: f64,
}

impl Sample {
    /// Returns the distance from the delay to the range of true delays between the two clock
    /// readings.
    fn error(&self) -> f64 {
        let real = |now: f64| self.written - (now - self.started) * RATE;
        (self.delay - real(self.before)).max(real(self.after) - self.delay).max(0.0)
    }
}

/// Parses the script's output. Returns the samples that were taken while the card played.
fn samples(console: &[String]) -> Vec<Sample> {
    let (mut samples, mut sample) = (Vec::new(), Sample::default());
    for line in console {
        // "now at 6726572954 nsecs", "state: RUNNING", or "delay       : 3840".
        let words: Vec<&str> = line.split([' ', ':']).filter(|word| !word.is_empty()).collect();
        let number = words.iter().find_map(|word| word.parse().ok()).unwrap_or_default();
        match words.first().copied() {
            Some("now") => {
                sample.after = number / 1e9;
                samples.extend(Some(sample).filter(|sample| sample.runs));
                sample = Sample { before: sample.after, ..Sample::default() };
            }
            Some("state") => sample.runs = words.get(1) == Some(&"RUNNING"),
            Some("trigger_time") => sample.started = number,
            Some("delay") => sample.delay = number,
            Some("avail") => sample.free = number,
            Some("appl_ptr") => sample.written = number,
            _ => {}
        }
    }
    samples
}

/// The distance to the true delay is printed and not checked, because the distance includes the
/// time that an emulated guest takes between two readings. `cargo bench -p snd-host --bench timing`
/// measures the distance.
#[test]
fn the_delay_that_a_guest_sees_includes_all_that_was_not_heard() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let (program, image) = (program("snd-host", Profile::Debug)?, GuestImage::prepared()?);
    let session = Session {
        options: &["--sink", "fakesink sync=true"],
        ..Session::new(&program, &image, Ring::Packed, directory.path())
    };
    let Outcome { guest, .. } = session.run(&Overlay::script(SCRIPT), Duration::from_secs(60))?;
    let samples = samples(&guest.output);
    let largest = samples.iter().map(Sample::error).fold(0.0, f64::max);
    println!("{} samples, the delay at most {:.1} ms from the true one", samples.len(), largest / RATE * 1e3);
    assert_eq!(samples.len(), SAMPLES);
    for sample in samples {
        let queued = BUFFER - sample.free;
        let behind = sample.delay - queued;
        assert!((0.0..=MOST_BEHIND).contains(&behind), "{sample:?}");
    }
    Ok(())
}
