//! The delay that a guest's applications see is the true one.

use std::error::Error;
use std::time::Duration;

use end_to_end::artifacts::{GuestImage, Profile, program};
use end_to_end::attempts::one_of_three;
use end_to_end::guest::Overlay;
use end_to_end::pattern::Pattern;
use end_to_end::playback::{Outcome, Ring, Session};

/// The number of frames in a period of 10 ms.
const PERIOD: f64 = 480.0;
const RATE: f64 = 48_000.0;

/// Reads the sound card's status repeatedly, each time between two readings of the clock.
const SCRIPT: &str = "
    now() { head -n 3 /proc/timer_list | grep now; }
    aplay -q -D hw:0,0 --period-size=480 --buffer-size=3840 /pattern.wav & player=$!
    while kill -0 $player 2>/dev/null; do
        now
        cat /proc/asound/card0/pcm0p/sub0/status
        now
    done
    wait $player";

/// The smallest number of samples for a result. Emulated programs start slowly.
const SAMPLES: usize = 10;

/// One reading of the card's status.
#[derive(Debug, Default)]
struct Sample {
    /// The time before the reading, in seconds.
    before: f64,
    /// The time at which the stream was started.
    started: f64,
    /// The delay that the guest sees until a frame written now is heard, in frames.
    delay: f64,
    /// The number of frames written.
    written: f64,
}

impl Sample {
    /// Returns the distance from the delay to the range of true delays between both clock readings.
    fn error(&self, after: f64) -> f64 {
        let real = |now: f64| self.written - (now - self.started) * RATE;
        (self.delay - real(self.before)).max(real(after) - self.delay).max(0.0)
    }
}

/// Parses the script's output. Returns the errors of all samples taken while the card ran.
fn errors(console: &[String]) -> Vec<f64> {
    let (mut errors, mut sample, mut runs) = (Vec::new(), Sample::default(), false);
    for line in console {
        // "now at 6726572954 nsecs", "state: RUNNING", or "delay       : 3840".
        let words: Vec<&str> = line.split([' ', ':']).filter(|word| !word.is_empty()).collect();
        let number = words.iter().find_map(|word| word.parse().ok()).unwrap_or_default();
        match words.first().copied() {
            Some("now") => {
                let seconds = number / 1e9;
                if runs {
                    errors.push(sample.error(seconds));
                }
                (sample, runs) = (Sample { before: seconds, ..Sample::default() }, false);
            }
            Some("state") => runs = words.get(1) == Some(&"RUNNING"),
            Some("trigger_time") => sample.started = number,
            Some("delay") => sample.delay = number,
            Some("appl_ptr") => sample.written = number,
            _ => {}
        }
    }
    errors
}

/// Plays in a guest and returns the errors of all samples.
fn sample_while_playing() -> Result<Vec<f64>, Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let (program, image) = (program("snd-host", Profile::Debug)?, GuestImage::prepared()?);
    let session = Session {
        options: &["--sink", "fakesink sync=true"],
        ..Session::new(&program, &image, Ring::Packed, directory.path())
    };
    let overlay = Overlay::script(SCRIPT).file("pattern.wav", Pattern::seconds(3).to_wav());
    let Outcome { guest, .. } = session.run(&overlay, Duration::from_secs(60))?;
    Ok(errors(&guest.output))
}

#[test]
fn the_delay_that_a_guest_sees_is_within_a_period_of_the_true_one() -> Result<(), Box<dyn Error>> {
    one_of_three(|| {
        let errors = sample_while_playing()?;
        let largest = errors.iter().copied().fold(0.0, f64::max);
        let (samples, milliseconds) = (errors.len(), largest / RATE * 1e3);
        let measured = format!("{samples} samples, the delay at most {milliseconds:.1} ms from the true one");
        println!("{measured}");
        if samples >= SAMPLES && largest < PERIOD { Ok(()) } else { Err(measured.into()) }
    })
}
