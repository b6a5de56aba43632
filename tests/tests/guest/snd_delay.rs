//! What a guest's applications are told of the delay of their audio is what it is.

use std::error::Error;
use std::time::Duration;

use end_to_end::artifacts::{GuestImage, Profile, program};
use end_to_end::attempts::one_of_three;
use end_to_end::guest::Overlay;
use end_to_end::pattern::Pattern;
use end_to_end::playback::{Ring, Session, Visit};

/// Frames of a period of 10 ms.
const PERIOD: f64 = 480.0;
const RATE: f64 = 48_000.0;

/// Looks at the sound card over and over while it plays, each time between two looks at the clock.
const SCRIPT: &str = "
    now() { head -n 3 /proc/timer_list | grep now; }
    aplay -q -D hw:0,0 --period-size=480 --buffer-size=3840 /pattern.wav & player=$!
    while kill -0 $player 2>/dev/null; do
        now
        cat /proc/asound/card0/pcm0p/sub0/status
        now
    done
    wait $player";

/// Fewer looks than this say nothing: emulated programs start slowly.
const LOOKS: usize = 10;

/// What is seen at one look.
#[derive(Debug, Default)]
struct Look {
    /// The time before, in seconds.
    before: f64,
    /// When the stream was started.
    started: f64,
    /// What the guest believes to be the delay until a frame that is written now is heard, in frames.
    delay: f64,
    /// How many frames have been written.
    written: f64,
}

impl Look {
    /// How many frames what the guest believes is away from all that was true between the looks at the clock.
    fn error(&self, after: f64) -> f64 {
        let true_one = |now: f64| self.written - (now - self.started) * RATE;
        (self.delay - true_one(self.before)).max(true_one(after) - self.delay).max(0.0)
    }
}

/// Reads what the script has written. Returns the errors of all looks at the card while it ran.
fn errors(console: &[String]) -> Vec<f64> {
    let (mut errors, mut look, mut runs) = (Vec::new(), Look::default(), false);
    for line in console {
        // "now at 6726572954 nsecs", "state: RUNNING", or "delay       : 3840".
        let words: Vec<&str> = line.split([' ', ':']).filter(|word| !word.is_empty()).collect();
        let number = words.iter().find_map(|word| word.parse().ok()).unwrap_or_default();
        match words.first().copied() {
            Some("now") => {
                let seconds = number / 1e9;
                if runs {
                    errors.push(look.error(seconds));
                }
                (look, runs) = (Look { before: seconds, ..Look::default() }, false);
            }
            Some("state") => runs = words.get(1) == Some(&"RUNNING"),
            Some("trigger_time") => look.started = number,
            Some("delay") => look.delay = number,
            Some("appl_ptr") => look.written = number,
            _ => {}
        }
    }
    errors
}

/// Plays in a guest. Returns the errors of all looks at the card.
fn look_while_playing() -> Result<Vec<f64>, Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let session = Session {
        program: &program("snd-host", Profile::Debug)?,
        image: &GuestImage::prepared()?,
        ring: Ring::Packed,
        options: &["--sink", "fakesink sync=true"],
        writable: directory.path(),
        properties: &[],
        handed_over: None,
        isolated_by: None,
    };
    let overlay = Overlay::script(SCRIPT).file("pattern.wav", Pattern::seconds(3).to_wav());
    let Visit { guest, .. } = session.run(&overlay, Duration::from_secs(60))?;
    Ok(errors(&guest.output))
}

#[test]
fn the_delay_that_a_guest_sees_is_within_a_period_of_the_true_one() -> Result<(), Box<dyn Error>> {
    one_of_three(|| {
        let errors = look_while_playing()?;
        let largest = errors.iter().copied().fold(0.0, f64::max);
        let (looks, milliseconds) = (errors.len(), largest / RATE * 1e3);
        let measured = format!("{looks} looks, the delay at most {milliseconds:.1} ms from the true one");
        println!("{measured}");
        if looks >= LOOKS && largest < PERIOD { Ok(()) } else { Err(measured.into()) }
    })
}
