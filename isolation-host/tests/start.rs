//! The ways in which isolation-host gets the socket for VMMs.

mod support;

use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};

use isolation_host::protocol::{Channel, Message, Request};
use support::device::{Offer, TestDevice, serve_honestly};
use support::{Host, PROGRAM, TIMEOUT};

/// Starts isolation-host and an honest device. A shell runs `script` with this socket as file
/// descriptor 3.
fn start(socket: OwnedFd, script: &str) -> Host {
    let directory = tempfile::tempdir().unwrap();
    let listener = TestDevice::listen(directory.path());
    std::thread::spawn(move || serve_honestly(TestDevice::accept(&listener, Offer::default())));
    let mut command = Command::new("sh");
    let script = format!("exec 3<&0 0</dev/null; {script}");
    command.args(["-c", &script, PROGRAM]).stdin(Stdio::from(socket));
    Host::run(directory, command)
}

/// Returns whether the other end of the socket answers like a device.
fn is_served(stream: UnixStream) -> bool {
    let mut channel = Channel::new(stream.into());
    channel.send(&Message::request(Request::GetFeatures, &[0u8; 0])).unwrap();
    let reply = channel.receive_by(std::time::Instant::now() + TIMEOUT).unwrap();
    reply.is_reply() && reply.body::<u64>().is_ok_and(|features| features != 0)
}

#[test]
fn a_socket_that_systemd_has_opened_is_used() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("activated");
    let listener = UnixListener::bind(&path).unwrap();
    let _host = start(listener.into(), r#"LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@""#);
    assert!(is_served(UnixStream::connect(&path).unwrap()));
    // Another VMM is served after the first one has disconnected.
    assert!(is_served(UnixStream::connect(&path).unwrap()));
}

#[test]
fn a_listening_or_connected_socket_can_be_passed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("listening");
    let listener = UnixListener::bind(&path).unwrap();
    let _host = start(listener.into(), r#"exec "$0" --fd 3 "$@""#);
    assert!(is_served(UnixStream::connect(&path).unwrap()));

    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut host = start(theirs.into(), r#"exec "$0" --fd 3 "$@""#);
    // A connected socket serves one VMM only.
    assert!(is_served(ours));
    assert!(host.ends_well());
}

#[test]
fn an_area_without_room_for_the_queues_is_refused_at_start() {
    let directory = tempfile::tempdir().unwrap();
    let listener = TestDevice::listen(directory.path());
    std::thread::spawn(move || serve_honestly(TestDevice::accept(&listener, Offer::default())));
    let mut host = Host::start(directory, &["--area-size", "1M"]);
    host.wait_for("the device has 2 queues: 524288 bytes of the isolated area are too few");
    assert!(!host.ends_well());
}

#[test]
fn a_log_that_cannot_be_written_does_not_block_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("activated");
    let listener = UnixListener::bind(&path).unwrap();
    let _host = start(listener.into(), r#"LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@" 2>/dev/full"#);
    assert!(is_served(UnixStream::connect(&path).unwrap()));
    assert!(is_served(UnixStream::connect(&path).unwrap()));
}

#[test]
fn a_file_that_is_no_vdpa_device_is_refused_at_start() {
    let directory = tempfile::tempdir().unwrap();
    let start = |device: &str| {
        let mut command = Command::new(PROGRAM);
        command.arg("--socket-path").arg(directory.path().join("vmm.sock")).args(["--device-socket", device]);
        let process = command.stdin(Stdio::null()).output().unwrap();
        assert!(!process.status.success());
        String::from_utf8_lossy(&process.stderr).into_owned()
    };
    for device in ["vdpa:/dev/null", "fd:0"] {
        let log = start(device);
        assert!(log.contains("the file is no vDPA device"), "{log}");
    }
    let log = start("vdpa:/nowhere");
    assert!(log.contains("cannot open vdpa:/nowhere"), "{log}");
}

#[test]
fn a_missing_socket_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let mut host = Host::run(directory, Command::new(PROGRAM));
    host.wait_for("cannot open systemd's socket: systemd has passed no socket");
}
