//! A guest plays in time while the host's sound server is absent, late or killed.

use std::error::Error;
use std::time::Duration;

use end_to_end::artifacts::{GuestImage, Profile, program};
use end_to_end::attempts::one_of_three;
use end_to_end::guest::Overlay;
use end_to_end::pattern::Pattern;
use end_to_end::playback::{Outcome, Ring, Session};
use end_to_end::sound_server::SoundServer;

/// The length of the audio that the guest plays in each case.
const SECONDS: u8 = 4;

/// The time in seconds that `aplay` may take beyond its audio.
///
/// `aplay` can start in emulation within this time. The sound server is missing for longer.
const LATE: f64 = 0.75;

/// The guest's script.
///
/// The script prints when the sound server has to be started or killed, and how long each `aplay`
/// took by the guest's clock.
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

/// The states of the sound server, and what snd-host logs at the end of each take.
const CASES: [(&str, &str); 3] =
    [("absent", "ended without a sink"), ("late", "played out"), ("killed", "played out")];

/// Plays in a guest once for each case, and checks the time and the log of each take.
fn play_in_all_cases() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let server = SoundServer::within(directory.path())?;
    let (program, image) = (program("snd-host", Profile::Debug)?, GuestImage::prepared()?);
    let session = Session {
        options: &["--log", "snd_host=debug", "--sink", &server.sink()],
        ..Session::new(&program, &image, Ring::Split, directory.path())
    };
    let pattern = Pattern::seconds(SECONDS);
    let overlay = Overlay::script(SCRIPT).file("pattern.wav", pattern.to_wav());
    let (mut running, mut times) = (None, Vec::new());
    let Outcome { daemon_log: log, .. } = session.run_watched(&overlay, Duration::from_secs(60), |line| {
        match line {
            "start" => running = Some(server.start()),
            "kill" => running = None,
            _ => {}
        }
        times.extend(line.split_once(": ").map(|(case, time)| (case.to_owned(), time.to_owned())));
    })?;
    running.transpose()?;

    for (take, (case, ending)) in CASES.into_iter().enumerate() {
        let (_, time) = times.iter().find(|(other, _)| other == case).ok_or(case)?;
        check_time(case, time)?;
        let take = format!("take={take}}}");
        if !log.iter().any(|line| line.contains(&take) && line.contains(ending)) {
            return Err(format!("{case}: no '{ending}' in:\n{}", log.join("\n")).into());
        }
    }
    Ok(())
}

/// Fails unless `aplay` took about as long as its audio. `time` is in seconds.
fn check_time(case: &str, time: &str) -> Result<(), Box<dyn Error>> {
    let measured = format!("sound server {case}: aplay took {time} s for {SECONDS} s of audio, and exited 0");
    println!("{measured}");
    let beyond = time.parse::<f64>()? - f64::from(SECONDS);
    if (-0.1..LATE).contains(&beyond) { Ok(()) } else { Err(measured.into()) }
}

#[test]
fn a_guest_plays_in_time_without_a_permanent_sound_server() -> Result<(), Box<dyn Error>> {
    one_of_three(play_in_all_cases)
}
