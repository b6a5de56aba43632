//! The sandbox of the running daemon: what it denies, and what still works.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{
    BYTES, Daemon, Format, Guest, OK, PROGRAM, counting, counting_period, set_params, words,
};
use snd_host::spec::request;

/// Plays ten periods of 10 ms.
fn play(guest: &mut Guest) {
    guest.must(&set_params(10 * BYTES, BYTES));
    guest.must(&words(&[request::PCM_PREPARE, 0]));
    (0..10).for_each(|index| guest.play(0, &counting_period(index)));
    guest.start(0);
    (0..10).for_each(|_| assert_eq!(guest.played().status, OK));
}

#[test]
fn every_thread_is_confined_while_it_plays() {
    let daemon = Daemon::start("fakesink sync=true");
    let mut guest = Guest::connect(&daemon, Format::Packed);
    play(&mut guest);
    let threads = daemon.threads();
    // The main thread, those for signals, protocol and queues, and two that play.
    assert!(threads.len() >= 6, "{}", threads.len());
    for thread in threads {
        let has = |line: &str| thread.lines().any(|it| it == line);
        assert!(has("NoNewPrivs:\t1") && has("Seccomp:\t2"), "{thread}");
    }
}

/// Plays to `file`, outside the daemon's directory. Returns the file's content, if it exists.
fn play_elsewhere(file: &Path, args: &[&str], wait_for: Option<&str>) -> Option<Vec<u8>> {
    let sink = format!("filesink sync=true location={}", file.display());
    let args = [&["--sink", &sink], args].concat();
    let daemon = Daemon::launch(Command::new(PROGRAM), &args, |command, directory| {
        command.arg("--socket").arg(directory.join("socket"));
    });
    let mut guest = Guest::connect(&daemon, Format::Split);
    play(&mut guest);
    if let Some(words) = wait_for {
        daemon.wait_for(words);
    }
    guest.finish(0);
    daemon.end();
    fs::read(file).ok()
}

#[test]
fn a_sink_writes_only_to_the_writable_directories() {
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("out");
    assert_eq!(play_elsewhere(&file, &[], Some("Permission denied")), None);
    let allow = ["--writable", elsewhere.path().to_str().unwrap()];
    assert!(play_elsewhere(&file, &allow, None) == Some(counting(0..4800)));
}

#[test]
fn without_the_sandbox_a_sink_writes_anywhere() {
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("out");
    assert!(play_elsewhere(&file, &["--no-sandbox"], None) == Some(counting(0..4800)));
}

#[test]
fn a_missing_writable_directory_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(PROGRAM)
        .args(["--sink", "fakesink", "--writable", "/no/such/directory", "--socket"])
        .arg(directory.path().join("socket"))
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--writable: cannot open /no/such/directory"), "{said}");
}
