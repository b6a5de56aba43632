//! What the running daemon cannot do, and still does.

use std::fs;
use std::process::Command;

use crate::support::{BYTES, Daemon, Format, Guest, OK, PROGRAM, counting, set_params, words};
use snd_host::spec::request;

/// Plays ten periods of 10 ms.
fn play(guest: &mut Guest) {
    guest.must(&set_params(10 * BYTES, BYTES));
    guest.must(&words(&[request::PCM_PREPARE, 0]));
    (0..10).for_each(|index| guest.play(0, &counting(index * 480..(index + 1) * 480)));
    guest.start(0);
    (0..10).for_each(|_| assert_eq!(guest.played().status, OK));
}

#[test]
fn every_thread_is_confined_while_it_plays() {
    let daemon = Daemon::start("fakesink sync=true");
    let mut guest = Guest::connect(&daemon, Format::Packed);
    play(&mut guest);
    let threads = daemon.threads();
    // The main one, for signals, for the protocol, for the queues, and two that play.
    assert!(threads.len() >= 6, "{}", threads.len());
    for thread in threads {
        let has = |line: &str| thread.lines().any(|it| it == line);
        assert!(has("NoNewPrivs:\t1") && has("Seccomp:\t2"), "{thread}");
    }
}

#[test]
fn a_sink_writes_where_it_may_and_only_there() {
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("out");
    let sink = format!("filesink sync=true location={}", file.display());
    let listen = |command: &mut Command, directory: &std::path::Path| {
        command.arg("--socket").arg(directory.join("socket"));
    };

    let daemon = Daemon::launch(Command::new(PROGRAM), &["--sink", &sink], listen);
    let mut guest = Guest::connect(&daemon, Format::Split);
    play(&mut guest);
    daemon.wait_for("Permission denied");
    guest.finish(0);
    daemon.end();
    assert!(!file.exists());

    let allow = |command: &mut Command, directory: &std::path::Path| {
        listen(command, directory);
        command.arg("--writable").arg(elsewhere.path());
    };
    let daemon = Daemon::launch(Command::new(PROGRAM), &["--sink", &sink], allow);
    let mut guest = Guest::connect(&daemon, Format::Split);
    play(&mut guest);
    guest.finish(0);
    daemon.end();
    assert!(fs::read(&file).unwrap() == counting(0..4800));
}

#[test]
fn without_the_sandbox_it_writes_anywhere() {
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("out");
    let sink = format!("filesink sync=true location={}", file.display());
    let daemon = Daemon::launch(Command::new(PROGRAM), &["--sink", &sink], |command, directory| {
        command.arg("--socket").arg(directory.join("socket")).arg("--no-sandbox");
    });
    let mut guest = Guest::connect(&daemon, Format::Split);
    play(&mut guest);
    guest.finish(0);
    daemon.end();
    assert!(fs::read(&file).unwrap() == counting(0..4800));
}

#[test]
fn a_writable_directory_that_is_not_there_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(PROGRAM)
        .args(["--sink", "fakesink", "--writable", "/no/such/directory", "--socket"])
        .arg(directory.path().join("socket"))
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--writable: /no/such/directory"), "{said}");
}
