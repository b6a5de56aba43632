//! What operators and the service manager see of the real, sandboxed process.

mod support;

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use ring_core::Features;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::Value;
use support::device::{Offer, TestDevice, serve_honestly};
use support::guest::{Queue, TestGuest};
use support::{Host, PROGRAM, TIMEOUT};
use tempfile::TempDir;

/// Starts isolation-host with both sockets for reports, an honest disk, and a guest.
fn start() -> (Host, TestGuest, Queue) {
    let directory = tempfile::tempdir().unwrap();
    serve_in_background(&directory);
    let socket = |name: &str| format!("unix:{}", directory.path().join(name).display());
    let (control, metrics) = (socket("control"), socket("metrics"));
    let host = Host::start(directory, &["--device", "blk", "--control", &control, "--metrics", &metrics]);
    let mut guest = TestGuest::new(host.connect(), Features::EVENT_IDX);
    let queue = guest.start(0);
    (host, guest, queue)
}

fn serve_in_background(directory: &TempDir) {
    let listener = TestDevice::listen(directory.path());
    std::thread::spawn(move || serve_honestly(TestDevice::accept(&listener, Offer::default())));
}

fn path(host: &Host, name: &str) -> std::path::PathBuf {
    host.vmm_socket().with_file_name(name)
}

/// Makes a request of four bytes and waits until it comes back.
fn request(guest: &TestGuest, queue: &mut Queue, number: u32) {
    guest.request(queue, 0, &number.to_le_bytes(), 4, number);
    guest.publish(0, queue);
    assert_eq!(guest.reap(0, queue), (number, 4));
}

fn read_to_end(mut stream: UnixStream) -> String {
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn json(host: &Host) -> Value {
    serde_json::from_str(&read_to_end(UnixStream::connect(path(host, "control")).unwrap())).unwrap()
}

/// Reads the state until a value of queue 0 is as expected.
fn json_when(host: &Host, name: &str, value: u64) -> Value {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let state = json(host);
        if state["queues"][0][name] == value {
            return state;
        }
        assert!(Instant::now() < deadline, "{state:#}");
    }
}

fn scrape(socket: &Path) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    read_to_end(stream)
}

#[test]
fn an_operator_reads_state_and_counters_as_json_and_as_prometheus_text() {
    let (host, guest, mut queue) = start();
    (0..3).for_each(|number| request(&guest, &mut queue, number));
    // The worker counts what the queue holds a moment after the guest has its request back.
    let state = json_when(&host, "in_flight", 0);
    let parts = ["device", "vmm", "device_type"].map(|name| state[name].as_str().unwrap());
    assert_eq!(parts, ["connected", "connected", "blk"]);
    let queue = &state["queues"][0];
    let numbers = ["requests", "to_device_bytes", "to_guest_bytes", "size"].map(|name| &queue[name]);
    assert_eq!(numbers, [3, 12, 12, 16]);
    let text = scrape(&path(&host, "metrics"));
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    for line in [
        "isolation_host_device_connected 1",
        "isolation_host_vmm_connections_total 1",
        "isolation_host_queue_requests_total{queue=\"0\"} 3",
        "isolation_host_queue_to_guest_bytes_total{queue=\"0\"} 12",
        "isolation_host_queue_requests_total{queue=\"1\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
}

/// The device is notified when its queue starts, and when its queue is enabled.
#[test]
fn notifications_of_the_device_without_a_request_are_counted() {
    let (host, _guest, _queue) = start();
    json_when(&host, "kicks_out", 2);
}

#[test]
fn hostile_readers_hold_up_neither_the_guest_nor_other_readers() {
    let (mut host, guest, mut queue) = start();
    let mut hostile = Vec::new();
    for number in 0..200 {
        for name in ["control", "metrics"] {
            // The listening socket accepts no more connections at a time than fit into its backlog.
            let Ok(stream) = UnixStream::connect(path(&host, name)) else { continue };
            let _ = (&stream).write_all(&[b'x'; 3000]);
            hostile.push(stream);
        }
        request(&guest, &mut queue, number);
    }
    assert!(scrape(&path(&host, "metrics")).contains("isolation_host_queue_requests_total{queue=\"0\"} 200"));
    assert_eq!(json(&host)["queues"][0]["requests"], 200);
    assert!(host.is_alive());
    drop(hostile);
}

#[test]
fn a_reader_is_served_when_the_process_can_open_files_again() {
    let (mut host, guest, mut queue) = start();
    let process = Pid::from_raw(host.id().try_into().unwrap());
    let usual = getrlimit(Resource::Nofile);
    prlimit(process, Resource::Nofile, Rlimit { current: Some(0), ..usual }).unwrap();
    let reader = UnixStream::connect(path(&host, "control")).unwrap();
    host.wait_for("cannot accept a reader of reports");
    request(&guest, &mut queue, 0);
    prlimit(process, Resource::Nofile, usual).unwrap();
    let state: Value = serde_json::from_str(&read_to_end(reader)).unwrap();
    assert_eq!(state["queues"][0]["requests"], 1);
}

/// The silent reader has the last file that the process may open.
#[test]
fn a_reader_takes_the_place_of_a_silent_one_that_holds_the_last_file() {
    let (mut host, guest, mut queue) = start();
    // Once the device serves the queue, isolation-host holds no file for a message to the device.
    request(&guest, &mut queue, 0);
    let mut silent = silent_reader(&host);
    forbid_more_files(&host);
    for round in 0..3 {
        assert_eq!(json(&host)["vmm_connected"], 1);
        assert_eq!(silent.read(&mut [0]).unwrap(), 0);
        if round == 0 {
            host.wait_for("the oldest reader of reports is closed to accept another one");
        }
        silent = silent_reader(&host);
    }
    // The closings of one minute are logged once.
    assert_eq!(host.new_warnings(), 0);
}

/// Connects a reader that sends no request, and waits until isolation-host has accepted the reader.
fn silent_reader(host: &Host) -> UnixStream {
    let stream = UnixStream::connect(path(host, "metrics")).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    // The process accepts waiting readers in one pass, so it has the silent one before the second
    // report.
    (0..2).for_each(|_| drop(json(host)));
    stream
}

/// Forbids the process to open more files than it has open.
fn forbid_more_files(host: &Host) {
    let files = std::fs::read_dir(format!("/proc/{}/fd", host.id())).unwrap();
    let open: BTreeSet<u64> =
        files.map(|file| file.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
    let lowest_free = (0..).find(|number| !open.contains(number));
    let limit = Rlimit { current: lowest_free, ..getrlimit(Resource::Nofile) };
    prlimit(Pid::from_raw(host.id().try_into().unwrap()), Resource::Nofile, limit).unwrap();
}

#[test]
fn counters_continue_when_a_queue_is_stopped_and_when_the_vmm_changes() {
    let (host, mut guest, mut queue) = start();
    request(&guest, &mut queue, 0);
    guest.stop(0);
    let state = json(&host);
    assert_eq!((&state["queues"][0]["requests"], &state["queues"][0]["started"]), (&1.into(), &false.into()));
}

#[test]
fn the_service_manager_hears_of_readiness_status_and_life() {
    let directory = tempfile::tempdir().unwrap();
    let manager = UnixDatagram::bind(directory.path().join("notify")).unwrap();
    manager.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut command = Command::new(PROGRAM);
    command.arg("--vmm").arg(format!("listen:{}", directory.path().join("vmm.sock").display()));
    command.args(["--threads", "2"]).env("NOTIFY_SOCKET", directory.path().join("notify"));
    command.env("WATCHDOG_USEC", "90000").env_remove("WATCHDOG_PID");
    let listener = TestDevice::listen(directory.path());
    let host = Host::run(directory, command);
    let wait_for = |expected: &[&str]| {
        let mut missing: BTreeSet<&str> = expected.iter().copied().collect();
        let mut buffer = [0; 4096];
        while !missing.is_empty() {
            let len = manager.recv(&mut buffer).unwrap_or_else(|error| panic!("no {missing:?}: {error}"));
            missing.remove(std::str::from_utf8(&buffer[..len]).unwrap());
        }
    };
    wait_for(&["READY=1\n", "STATUS=negotiating with the device, no VMM\n", "WATCHDOG=1\n"]);
    std::thread::spawn(move || serve_honestly(TestDevice::accept(&listener, Offer::default())));
    wait_for(&["STATUS=device connected, no VMM\n"]);
    let mut guest = TestGuest::new(host.connect(), Features::EVENT_IDX);
    let _queue = guest.start(0);
    wait_for(&["STATUS=device connected, VMM connected, 1 queues started\n"]);
    // Both workers have their queues now, and have to run between two signs of life.
    (0..3).for_each(|_| wait_for(&["WATCHDOG=1\n"]));
}

#[test]
fn each_line_of_a_json_log_is_an_object_with_its_level_and_message() {
    let directory = tempfile::tempdir().unwrap();
    serve_in_background(&directory);
    let mut host = Host::start(directory, &["--log-format", "json"]);
    let line = host.wait_for("a device is connected");
    let object: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&object["level"], &object["message"]), (&"INFO".into(), &"a device is connected".into()));
    assert!(object["timestamp"].is_string());
}
