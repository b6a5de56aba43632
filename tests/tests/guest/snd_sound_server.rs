//! A guest plays while the host's sound server is absent, late or killed. The sound server shows
//! the guest's name.

use std::error::Error;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use end_to_end::artifacts::{GuestImage, Profile, program};
use end_to_end::guest::Overlay;
use end_to_end::pattern::Pattern;
use end_to_end::playback::{Outcome, Ring, Session};
use end_to_end::sound_server::SoundServer;

/// The length of the audio that the guest plays in each case. Within this time the sound server has
/// to start, and snd-host has to find it.
const SECONDS: u8 = 12;

/// The guest's script.
///
/// The script prints when the sound server has to be started or killed, and how long each `aplay`
/// took by the guest's clock. `aplay` fails if Linux finds that the sound card makes no progress.
const SCRIPT: &str = "
    play() {
        read start idle </proc/uptime
        aplay -q -D hw:0,0 $2 /pattern.wav || exit
        read end idle </proc/uptime
        echo \"$1: $(echo \"$start $end\" | awk '{ print $2 - $1 }')\"
    }
    play absent '-d 2'
    (sleep 1; echo start) & play late
    (sleep 1; echo kill; sleep 1; echo start) & play killed
";

/// The name of the virtual machine.
const NAME: &str = "guest 7";

/// The longest time that the sound server may take to show a stream.
const SHOWN_WITHIN: Duration = Duration::from_secs(60);

/// The cases: the states of the sound server, and the line that snd-host logs at the end of each
/// take.
const CASES: [(&str, &str); 3] =
    [("absent", "ended without a sink"), ("late", "played out"), ("killed", "played out")];

/// The properties of the stream that the sound server shows.
const NAMES: [&str; 2] = [r#"application.name = "guest 7""#, r#"media.name = "stream 0""#];

/// Waits until the sound server shows the stream by its names.
fn wait_for_stream(server: &SoundServer) -> Result<(), Box<dyn Error>> {
    let deadline = Instant::now() + SHOWN_WITHIN;
    loop {
        let shown = server.streams()?;
        if NAMES.iter().all(|name| shown.contains(name)) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("{NAMES:?} are not among the streams of the sound server:\n{shown}").into());
        }
        // The server sends no event to a client of its commands.
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_guest_plays_without_a_permanent_sound_server() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let server = SoundServer::within(directory.path())?;
    let (program, image) = (program("snd-host", Profile::Debug)?, GuestImage::prepared()?);
    let session = Session {
        options: &["--log", "snd_host=debug", "--sink", &server.sink(), "--name", NAME],
        ..Session::new(&program, &image, Ring::Split, directory.path())
    };
    let pattern = Pattern::seconds(SECONDS);
    let overlay = Overlay::script(SCRIPT).file("pattern.wav", pattern.to_wav());
    let (mut running, mut shown, mut ended) = (None, Vec::new(), Vec::new());
    let Outcome { daemon_log: log, .. } =
        session.run_watched(&overlay, Duration::from_secs(120), |line| {
            match line {
                "start" => {
                    running = Some(server.start());
                    shown.push(wait_for_stream(&server));
                }
                "kill" => running = None,
                _ => {}
            }
            let cases = CASES.map(|(case, _)| case);
            if let Some((case, time)) = line.split_once(": ").filter(|(case, _)| cases.contains(case)) {
                println!("sound server {case}: aplay took {time} s by the guest's clock, and exited 0");
                ended.push(case.to_owned());
            }
        })?;
    running.transpose()?;

    for (take, (case, ending)) in CASES.into_iter().enumerate() {
        assert!(ended.iter().any(|other| other == case), "{case}: aplay has failed");
        let take = format!("take={take}}}");
        let found = log.iter().any(|line| line.contains(&take) && line.contains(ending));
        assert!(found, "{case}: no '{ending}' in:\n{}", log.join("\n"));
    }
    shown.into_iter().collect()
}

#[test]
fn the_devices_of_a_sound_server_are_listed_and_can_be_checked() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let server = SoundServer::within(directory.path())?;
    let program = program("snd-host", Profile::Debug)?;
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.args(arguments).args(["--log", "warn"]).env("PULSE_SERVER", server.address());
        let output = command.output()?;
        let said = [output.stdout, output.stderr].concat();
        Ok::<_, Box<dyn Error>>((output.status.success(), String::from_utf8(said)?))
    };
    let check = ["check", "--sink", "pulse:out", "--source", "pulse:out.monitor"];

    let (works, said) = run(&check)?;
    assert!(!works && said.contains("start the sound server (PulseAudio or pipewire-pulse)"), "{said}");
    let _running = server.start()?;
    let (_, said) = run(&["devices"])?;
    assert!(said.contains("--sink pulse:out\n") && said.contains("--source pulse:out.monitor\n"), "{said}");
    let (works, said) = run(&check)?;
    assert!(works && said.contains("sink: works, through pulsesink, which plays S16LE"), "{said}");
    assert!(said.contains("source: works, through pulsesrc"), "{said}");
    Ok(())
}
