//! How snd-host is started, controlled and queried.

use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::{
    Daemon, FORMATS, Format, Guest, OK, PROGRAM, counting, logged_number, set_params, status_of, words,
};
use rustix::process::Signal;
use snd_host::spec::request;

/// Makes a listening socket in `directory` the standard input of `command`.
fn hand_over(command: &mut Command, directory: &Path) {
    let listener = UnixListener::bind(directory.join("socket")).unwrap();
    command.stdin(OwnedFd::from(listener));
}

/// Asserts that the daemon serves two machines, one after the other.
fn serves_two(daemon: &Daemon) {
    for format in FORMATS {
        let mut guest = Guest::connect(daemon, format);
        assert_eq!(status_of(&guest.pcm_info()), OK);
    }
}

/// Runs snd-host until it ends.
fn run(args: &[&str]) -> Output {
    Command::new(PROGRAM).args(args).stdin(Stdio::null()).output().unwrap()
}

/// Runs snd-host with arguments that it has to refuse. Returns the error message.
fn refused(args: &[&str]) -> String {
    let output = run(args);
    assert!(!output.status.success(), "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_socket_can_be_handed_over_by_its_number() {
    let daemon =
        Daemon::launch(Command::new(PROGRAM), &["--sink", "fakesink sync=true"], |command, directory| {
            hand_over(command, directory);
            command.args(["--fd", "0"]);
        });
    serves_two(&daemon);
    assert!(daemon.end().path().join("socket").exists(), "the socket belongs to the process that opened it");
}

#[test]
fn a_socket_can_be_handed_over_as_systemd_does() {
    let mut shell = Command::new("/bin/sh");
    let activate = r#"exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@""#;
    shell.args(["-c", activate, PROGRAM]);
    let daemon = Daemon::launch(shell, &["--sink", "fakesink sync=true"], hand_over);
    serves_two(&daemon);
    assert!(daemon.end().path().join("socket").exists());
}

#[test]
fn an_unusable_socket_is_refused_with_a_reason() {
    let fake = ["--sink", "fakesink"];
    let says = |args: &[&str]| refused(&[&fake[..], args].concat());
    assert!(says(&[]).contains("give --socket or --fd"));
    assert!(says(&["--fd", "99"]).contains("file descriptor 99"));
    assert!(says(&["--fd", "0"]).contains("file descriptor 0"));
    assert!(says(&["--socket", "/dev/null"]).contains("is not a socket"));
    assert!(says(&["--socket", "/no/such/directory/socket"]).contains("cannot listen on"));
}

#[test]
fn a_socket_that_another_process_listens_on_is_refused() {
    let daemon = Daemon::start("fakesink");
    let said = refused(&["--sink", "fakesink", "--socket", daemon.socket().to_str().unwrap()]);
    assert!(said.contains("listens on") && said.contains("another path"), "{said}");
    serves_two(&daemon);
    assert!(!daemon.end().path().join("socket").exists());
}

#[test]
fn a_stale_socket_is_replaced_and_the_socket_of_another_process_is_kept() {
    let daemon = Daemon::launch(Command::new(PROGRAM), &["--sink", "fakesink"], |command, directory| {
        drop(UnixListener::bind(directory.join("socket")).unwrap());
        command.arg("--socket").arg(directory.join("socket"));
    });
    serves_two(&daemon);
    std::fs::remove_file(daemon.socket()).unwrap();
    let _other = UnixListener::bind(daemon.socket()).unwrap();
    assert!(daemon.end().path().join("socket").exists());
}

#[test]
fn an_invalid_log_level_is_refused() {
    for level in ["warning", "snd_host=loud", "snd_host,info"] {
        let said = refused(&["--log", level, "--socket", "/no/such/directory/socket"]);
        assert!(said.contains("--log") && said.contains("info"), "{level}: {said}");
    }
    for level in ["off", "warn", "snd_host=debug,warn"] {
        let said = refused(&["--log", level, "--streams", "x"]);
        assert!(!said.contains("--log"), "{level}: {said}");
    }
}

#[test]
fn the_launcher_logs_what_the_option_selects() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("snd-host");
    std::fs::copy(PROGRAM, &program).unwrap();
    // The launcher finds no snd-host-audio beside this copy.
    let said = |level: &str| {
        let mut command = Command::new(&program);
        command.args(["--log", level, "--socket"]).arg(directory.path().join("socket"));
        let output = command.output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(said("error").contains("install it beside snd-host"));
    assert_eq!(said("off"), "");
}

#[test]
fn the_end_of_the_launcher_ends_all_processes() {
    let mut daemon = Daemon::start("fakesink sync=true");
    let mut guest = Guest::connect(&daemon, Format::Packed);
    assert_eq!(status_of(&guest.pcm_info()), OK);
    assert_eq!(daemon.kill_launcher().code(), Some(1));
    daemon.wait_for("the launcher of the audio process has ended");
}

#[test]
fn a_closed_log_does_not_stop_the_daemon() {
    let mut daemon = Daemon::start("fakesink sync=true");
    daemon.close_log();
    for _ in 0..3 {
        daemon.signal(Signal::USR1);
        serves_two(&daemon);
    }
    daemon.end();
}

#[test]
fn an_invalid_sink_or_source_is_refused_before_the_socket_exists() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    for (option, description, why) in [
        ("--sink", "nosuchsink", "no element \"nosuchsink\""),
        ("--sink", "nosuchsink", "gst-inspect-1.0"),
        ("--sink", "fakesink nosuch=1", "no property \"nosuch\""),
        ("--sink", "", "is not a sink"),
        ("--sink", "audiotestsrc", "is not a sink"),
        ("--sink", "audioconvert", "no sink element"),
        ("--source", "fakesink", "is not a source"),
        ("--source", "audioconvert", "no source element"),
    ] {
        let said = refused(&["--socket", socket.to_str().unwrap(), option, description]);
        assert!(said.contains(why), "{option} '{description}': {said}");
        assert!(!socket.exists());
    }
}

#[test]
fn printing_the_capabilities_does_nothing_else() {
    let output = run(&["--print-capabilities", "--sink", "nosuchsink"]);
    assert!(output.status.success());
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed.trim_end(), snd_host::CAPABILITIES);
    assert!(printed.contains("\"type\": \"sound\""));
}

#[test]
fn the_version_names_the_commit_and_the_features() {
    let printed = |option| String::from_utf8(run(&[option]).stdout).unwrap();
    let number = concat!("snd-host ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(printed("-V"), number);
    let long = printed("--version");
    let rest = long.strip_prefix(number).unwrap();
    assert!(rest.starts_with("commit: ") && rest.ends_with("\nfeatures: none\n"), "{long}");
}

#[test]
fn a_signal_logs_the_state_of_each_stream() {
    let daemon = Daemon::start("fakesink sync=true");
    daemon.signal(Signal::USR1);
    daemon.wait_for("no front-end is connected");
    let mut guest = Guest::connect(&daemon, Format::Packed);
    // The session has begun once a request is answered.
    guest.must(&set_params(7680, 1920));
    daemon.signal(Signal::USR1);
    daemon.wait_for("stream 0 Output Configured");
    guest.must(&words(&[request::PCM_PREPARE, 0]));
    guest.play(0, &counting(0..480));
    assert_eq!(status_of(&guest.pcm_info()), OK);
    daemon.signal(Signal::USR1);
    daemon.wait_for(
        "stream 0 Output Prepared: S16LE, 2 channels, 48000 Hz, 480 frames, 0 xruns, 0 frames dropped, \
         1 messages with 1920 bytes waiting",
    );
}

#[test]
fn a_release_logs_underruns_and_latency() {
    let daemon = Daemon::start("fakesink sync=true");
    let mut guest = Guest::connect(&daemon, Format::Split);
    guest.prepare(0, 4);
    guest.start(0);
    // Each message follows the end of the message before, so all but the first are late.
    for _ in 0..3 {
        guest.play(0, &counting(0..480));
        assert_eq!(guest.played().status, OK);
    }
    guest.finish(0);
    daemon.wait_for("released: 2 xruns, latency");
}

#[test]
fn a_release_of_a_recording_logs_latency_and_losses() {
    let daemon = Daemon::start("fakesink");
    let mut guest = Guest::connect(&daemon, Format::Packed);
    guest.prepare(1, 4);
    (0..4).for_each(|_| guest.record(1, 1920));
    guest.start(1);
    (0..4).for_each(|_| assert_eq!(guest.recorded().status, OK));
    guest.finish(1);
    let summary = daemon.wait_for("released:");
    for part in ["latency", "ms on average", "stream=1", "frames=1920", "silent="] {
        assert!(summary.contains(part), "no {part} in: {summary}");
    }
    // A guest that is held up between its last message and STOP loses what the source gives.
    let lost = logged_number(&summary, "dropped") > 0;
    assert_eq!(summary.contains("released: 0 xruns"), !lost, "{summary}");
}

#[test]
fn the_list_of_plugins_is_made_before_the_daemon_listens() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("registry.bin");
    let mut command = Command::new(PROGRAM);
    command.env("GST_REGISTRY", &list);
    let _daemon = Daemon::launch(command, &["--sink", "fakesink"], |command, directory| {
        command.arg("--socket").arg(directory.join("socket"));
    });
    assert!(list.exists());
}

#[test]
fn the_socket_has_the_mode_and_the_group_of_the_command_line() {
    let group = std::fs::metadata("/proc/self").unwrap().gid().to_string();
    let daemon =
        Daemon::start_with(&["--sink", "fakesink", "--socket-mode", "620", "--socket-group", &group]);
    let socket = std::fs::metadata(daemon.socket()).unwrap();
    assert_eq!((socket.mode() & 0o777, socket.gid().to_string()), (0o620, group));
    serves_two(&daemon);
    let refused = |option: &str, value: &str| {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("socket");
        refused(&["--sink", "fakesink", "--socket", socket.to_str().unwrap(), option, value])
    };
    assert!(refused("--socket-mode", "rw").contains("octal"));
    assert!(refused("--socket-mode", "1777").contains("octal"));
    assert!(refused("--socket-group", "no such group").contains("/etc/group"));
}

#[test]
fn a_guest_that_plays_and_stops_without_end_does_not_fill_the_log() {
    const TAKES: usize = 300;
    let mut daemon = Daemon::start("fakesink");
    let mut guest = Guest::connect(&daemon, Format::Packed);
    for _ in 0..TAKES {
        guest.prepare(0, 4);
        guest.play(0, &counting(0..480));
        guest.start(0);
        guest.finish(0);
        assert_eq!(guest.played().status, OK);
    }
    drop(guest);
    let log = daemon.terminate();
    let released = log.iter().filter(|line| line.contains("released:")).count();
    assert!((1..TAKES).contains(&released), "{released}");
}
