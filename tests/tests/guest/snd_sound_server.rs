//! A guest plays on in time, whatever becomes of the host's sound server.

use std::error::Error;
use std::time::Duration;

use end_to_end::artifacts::{GuestImage, Profile, program};
use end_to_end::attempts::one_of_three;
use end_to_end::guest::Overlay;
use end_to_end::pattern::Pattern;
use end_to_end::playback::{Ring, Session, Visit};
use end_to_end::sound_server::SoundServer;

/// How long the audio is that the guest plays each time.
const SECONDS: u8 = 4;

/// How much longer than its audio `aplay` may take: to start in emulation, and less than the sound server is
/// missing.
const LATE: f64 = 0.75;

/// What the guest does. It says when something is to happen to the sound server, and how long each `aplay` took,
/// by its own clock.
const SCRIPT: &str = "
    play() {
        read start idle </proc/uptime
        aplay -q -D hw:0,0 /pattern.wav || exit
        read end idle </proc/uptime
        echo \"$1: $(echo \"$start $end\" | awk '{ print $2 - $1 }')\"
    }
    play absent
    (sleep 1; echo start) & play late
    (sleep 1; echo kill; sleep 1; echo start) & play killed
";

/// What becomes of the sound server while the guest plays, and what snd-host has to say of the end.
const CASES: [(&str, &str); 3] =
    [("absent", "ended without a sink"), ("late", "played out"), ("killed", "played out")];

/// Plays in a guest while all of that happens. Returns an error if a case did not go as it should.
fn play_in_all_cases() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let server = SoundServer::within(directory.path());
    let session = Session {
        program: &program("snd-host", Profile::Debug)?,
        image: &GuestImage::prepared()?,
        ring: Ring::Split,
        options: &["--log", "snd_host=debug", "--sink", &server.sink()],
        writable: directory.path(),
        properties: &[],
        handed_over: None,
        isolated_by: None,
    };
    let pattern = Pattern::seconds(SECONDS);
    let overlay = Overlay::script(SCRIPT).file("pattern.wav", pattern.to_wav());
    let (mut running, mut said) = (None, Vec::new());
    let Visit { daemon_log: log, .. } = session.run_watched(&overlay, Duration::from_secs(60), |line| {
        match line {
            "start" => running = Some(server.start()),
            "kill" => running = None,
            _ => {}
        }
        said.extend(line.split_once(": ").map(|(case, took)| (case.to_owned(), took.to_owned())));
    })?;
    running.transpose()?;

    for (take, (case, ending)) in CASES.into_iter().enumerate() {
        let (_, took) = said.iter().find(|(said, _)| said == case).ok_or(case)?;
        let measured =
            format!("sound server {case}: aplay took {took} s for {SECONDS} s of audio, and exited 0");
        println!("{measured}");
        let beyond = took.parse::<f64>()? - pattern.duration().as_secs_f64();
        if !(-0.1..LATE).contains(&beyond) {
            return Err(measured.into());
        }
        let take = format!("take={take}}}");
        if !log.iter().any(|line| line.contains(&take) && line.contains(ending)) {
            return Err(format!("{case}: not '{ending}' in:\n{}", log.join("\n")).into());
        }
    }
    Ok(())
}

#[test]
fn a_guest_plays_in_time_with_a_sound_server_that_is_absent_late_or_killed_and_started_again()
-> Result<(), Box<dyn Error>> {
    one_of_three(play_in_all_cases)
}
