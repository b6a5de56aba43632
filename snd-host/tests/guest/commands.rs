//! The commands `devices` and `check`, and the messages about a sink before a guest plays.

use std::path::Path;
use std::process::Command;

use crate::support::{Daemon, PROGRAM};

/// Makes GStreamer find no sound device.
const NO_DEVICES: (&str, &str) = (
    "GST_PLUGIN_FEATURE_RANK",
    "pulsesink:NONE,pipewiresink:NONE,alsasink:NONE,jackaudiosink:NONE,openalsink:NONE,osssink:NONE,oss4sink:NONE",
);

/// Runs snd-host without a log. Returns whether it succeeded, and what it printed.
fn run(args: &[&str]) -> (bool, String) {
    let mut command = Command::new(PROGRAM);
    let output =
        command.args(args).args(["--log", "error"]).env(NO_DEVICES.0, NO_DEVICES.1).output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(printed).unwrap())
}

/// Starts a daemon whose only writable directory is its runtime directory.
fn start(args: &[&str]) -> Daemon {
    let mut command = Command::new(PROGRAM);
    command.env(NO_DEVICES.0, NO_DEVICES.1);
    Daemon::launch(command, args, |command, directory| {
        command.arg("--socket").arg(directory.join("socket"));
    })
}

#[test]
fn check_plays_silence_and_says_what_a_guest_gets() {
    let (ok, said) = run(&["check", "--sink", "fakesink sync=true", "--source", "audiotestsrc is-live=true"]);
    assert!(ok, "{said}");
    for line in [
        "sink: works, through fakesink, which plays S16LE, 2 channels, 48000 Hz",
        "source: works, through audiotestsrc",
        "card: 1 to play and 1 to record; audio is in the sink for at most 40 ms",
    ] {
        assert!(said.lines().any(|said| said == line), "{said}");
    }
}

#[test]
fn check_says_that_a_guest_records_silence_without_a_source() {
    let (ok, said) = run(&["check", "--sink", "fakesink", "--streams", "2,1"]);
    assert!(ok && said.contains("source: none; the guest records silence"), "{said}");
    assert!(said.contains("card: 2 to play and 1 to record"), "{said}");
}

#[test]
fn check_fails_and_names_writable_if_the_sandbox_refuses_a_file() {
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("out.wav");
    let sink = format!("file:{}", file.display());
    let (ok, said) = run(&["check", "--sink", &sink]);
    let refused = format!("the sandbox of snd-host refuses to write {}", file.display());
    let advice = format!("add --writable {}", elsewhere.path().display());
    assert!(!ok && said.contains(&refused) && said.contains(&advice), "{said}");
    let (ok, said) = run(&["check", "--sink", &sink, "--writable", elsewhere.path().to_str().unwrap()]);
    assert!(ok && !file.exists(), "{said}");
}

#[test]
fn check_fails_for_a_sink_or_a_source_that_is_missing() {
    let missing = Path::new("/no/such/directory/file");
    for args in [["--sink", "pulsesink server=unix:/no/such/server"], ["--sink", "auto"]] {
        let (ok, said) = run(&[&["check"], &args[..]].concat());
        assert!(!ok && said.contains("choose another --sink; `snd-host devices` lists the sinks"), "{said}");
    }
    let (ok, said) =
        run(&["check", "--sink", "fakesink", "--source", &format!("file:{}", missing.display())]);
    assert!(!ok && said.contains("source: does not work") && said.contains("check the path"), "{said}");
}

#[test]
fn a_file_that_cannot_be_written_is_reported_once_before_a_guest_plays() {
    let elsewhere = tempfile::tempdir().unwrap();
    let mut daemon = start(&["--sink", &format!("file:{}/out.wav", elsewhere.path().display())]);
    let advice = format!("add --writable {}", elsewhere.path().display());
    daemon.wait_for(&advice);
    assert!(!daemon.terminate().iter().any(|line| line.contains(&advice)));
}

#[test]
fn a_fallback_to_silence_is_reported_before_a_guest_plays() {
    let daemon = start(&["--sink", "auto"]);
    daemon.wait_for("no sound device was found, so GStreamer falls back to silence");
}

#[test]
fn devices_lists_sinks_and_sources_or_says_that_there_are_none() {
    let (ok, said) = run(&["devices"]);
    assert!(ok, "{said}");
    for role in ["sink", "source"] {
        let listed = said.contains(&format!("{role}s:\n  --{role} "));
        assert!(listed || said.contains(&format!("no {role}s found")), "{said}");
    }
}
