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
    // There are the main thread, the threads for signals, protocol and queues, and two threads that
    // play.
    assert!(threads.len() >= 6, "{}", threads.len());
    for thread in threads {
        let has = |line: &str| thread.lines().any(|it| it == line);
        assert!(has("NoNewPrivs:\t1") && has("Seccomp:\t2"), "{thread}");
    }
}

/// Returns the name and the scheduling policy of each thread, as sched(7) numbers the policies.
fn policies(daemon: &Daemon) -> Vec<(String, u32)> {
    let policy = |stat: &String| {
        // The name is in parentheses. Field 3 follows it, and the policy is field 41.
        let (name, fields) = stat.split_once('(').unwrap().1.rsplit_once(')').unwrap();
        (name.to_owned(), fields.split_whitespace().nth(41 - 3).unwrap().parse().unwrap())
    };
    daemon.thread_files("stat").iter().map(policy).collect()
}

/// Plays with a daemon whose limit of the real-time priority is `limit`. Returns the daemon's
/// output and the policies of its threads; `None` if this process cannot set the limit.
fn play_with_priority(limit: u32) -> Option<(String, Vec<(String, u32)>)> {
    let limit = format!("--rtprio={limit}:{limit}");
    let settable = Command::new("prlimit").args([&limit, "true"]).status().unwrap();
    if !settable.success() {
        return None;
    }
    let mut prlimit = Command::new("prlimit");
    prlimit.args([&limit, PROGRAM]);
    let daemon = Daemon::launch(prlimit, &["--sink", "fakesink sync=true"], |command, directory| {
        command.arg("--socket").arg(directory.join("socket"));
    });
    let said = daemon.wait_for("real-time priority");
    let mut guest = Guest::connect(&daemon, Format::Packed);
    play(&mut guest);
    Some((said, policies(&daemon)))
}

#[test]
fn the_threads_that_keep_time_have_the_priority_that_is_granted() {
    const OTHER: u32 = 0;
    const ROUND_ROBIN: u32 = 2;
    let policy = |threads: &[(String, u32)], name: &str| {
        threads.iter().find(|(thread, _)| thread.starts_with(name)).map(|(_, policy)| *policy)
    };
    let (said, threads) = play_with_priority(0).unwrap();
    assert!(said.contains("no real-time priority, because RLIMIT_RTPRIO is 0"), "{said}");
    assert!(threads.iter().all(|(_, policy)| *policy == OTHER), "{threads:?}");

    // A user may not be allowed to raise the limit, and a container may not have the scheduler.
    let Some((said, threads)) = play_with_priority(5) else {
        println!("not tested: the limit of the real-time priority cannot be raised here");
        return;
    };
    if said.contains("the kernel refuses it") {
        println!("not tested: the kernel has no real-time scheduler for this process");
        return;
    }
    assert!(said.contains("the threads that keep time have real-time priority 5"), "{said}");
    for (name, expected) in
        [("vring_worker", ROUND_ROBIN), ("appsrc", ROUND_ROBIN), ("audio", ROUND_ROBIN), ("signals", OTHER)]
    {
        assert_eq!(policy(&threads, name), Some(expected), "{name}: {threads:?}");
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
    // A process that is asked to end does not wait for a slow sink for long.
    daemon.wait_until_takes_are_closed();
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
