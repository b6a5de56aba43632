//! A guest is stopped, or moves to another QEMU and another isolation-host, while it writes its disk.

mod tap;

use std::error::Error;
use std::path::Path;
use std::thread;
use std::time::Duration;

use end_to_end::forwarding::{ForwardedDisk, Speed};
use isolation_host::protocol::Request;
use isolation_host::protocol::features::LOG_ALL;
use tap::{Log, Notes, Tap};

/// What the guest writes and checks.
const MEBIBYTES: u64 = 256;
/// Requests at a time.
const DEPTH: u32 = 32;
/// How long until the guest has begun to write.
const BOOT_AND_BEGIN: Duration = Duration::from_secs(120);
/// Long enough for a guest that goes on to make its next requests.
const BETWEEN_STOPS: Duration = Duration::from_millis(100);

#[test]
fn a_guest_moves_while_it_writes_and_its_device_is_not_asked_to_log() -> Result<(), Box<dyn Error>> {
    a_guest_moves("packed=off", Log::Shown)
}

#[test]
fn a_guest_moves_while_it_writes_although_its_device_cannot_log() -> Result<(), Box<dyn Error>> {
    a_guest_moves("packed=on", Log::Hidden)
}

fn a_guest_moves(ring: &str, log: Log) -> Result<(), Box<dyn Error>> {
    let (mut taps, options) = (Vec::new(), ["--log", "debug"]);
    let mut tap = |device: &Path| {
        let tap = Tap::new(device, log)?;
        let socket = tap.socket().to_owned();
        taps.push(tap);
        Ok(socket)
    };
    let mut here = ForwardedDisk::start_by(&mut tap, MEBIBYTES, &options)?;
    let mut there = here.beside_by(&mut tap, &options)?;
    let mut guest = here.start_load(&here.as_device().with(ring), DEPTH, 1)?;
    guest.wait_for_lines("disk-load: Write", 8, BOOT_AND_BEGIN)?;
    let device = there.as_device().with(ring);
    there.take_over(guest, &device, DEPTH, 1).inspect_err(|error| eprintln!("{error}"))?;
    here.check_image(1)?;
    // QEMU had isolation-host log, and that had nobody do so.
    assert!(here.log().iter().any(|line| line.contains("dirty pages are logged")));
    for Notes { requests, offered, asked } in taps.iter().map(Tap::notes) {
        // qemu-storage-daemon can log.
        assert_eq!((offered & LOG_ALL, asked & LOG_ALL), (LOG_ALL, 0));
        assert!(!requests.iter().any(|request| matches!(request, Request::SetLogBase | Request::SetLogFd)));
        println!(
            "{ring}: a device that offers {offered:#x}, of which LOG_ALL is {log:?}, was asked for {asked:#x}, and {} \
             requests, none of which was about a log",
            requests.len()
        );
    }
    Ok(())
}

#[test]
fn a_guest_is_paused_with_requests_in_flight_at_a_slow_device_and_loses_none() -> Result<(), Box<dyn Error>> {
    let mut disk = ForwardedDisk::start_at(Speed::Requests(15), 32, &["--log", "debug"])?;
    let mut guest = disk.start_load(&disk.as_device().with("packed=on"), 4, 1)?;
    guest.wait_for_lines("disk-load: Write", 1, BOOT_AND_BEGIN)?;
    for _ in 0..8 {
        thread::park_timeout(BETWEEN_STOPS);
        guest.pause_and_go_on(BOOT_AND_BEGIN)?;
    }
    guest.finish(BOOT_AND_BEGIN).inspect_err(|error| eprintln!("{error}"))?;
    disk.check_image(1)?;
    assert_stopped_in_flight(&mut disk, 8);
    Ok(())
}

#[test]
fn a_guest_moves_with_requests_in_flight_at_a_slow_device_and_loses_none() -> Result<(), Box<dyn Error>> {
    for ring in ["packed=off", "packed=on"] {
        let mut here = ForwardedDisk::start_at(Speed::Requests(15), 16, &["--log", "debug"])?;
        let mut there = here.beside(&[])?;
        let mut guest = here.start_load(&here.as_device().with(ring), 8, 1)?;
        guest.wait_for_lines("disk-load: Write", 1, BOOT_AND_BEGIN)?;
        let device = there.as_device().with(ring);
        there.take_over(guest, &device, 8, 1).inspect_err(|error| eprintln!("{error}"))?;
        here.check_image(1)?;
        assert_stopped_in_flight(&mut here, 1);
    }
    Ok(())
}

/// Requests were in flight when queues were stopped. Without isolation-host they would have been lost:
/// qemu-storage-daemon forgets them.
fn assert_stopped_in_flight(disk: &mut ForwardedDisk, times: usize) {
    let waited: Vec<&str> = disk
        .log()
        .iter()
        .filter_map(|line| line.get(line.find("queue ")?..))
        .filter(|line| line.contains("stops when"))
        .collect();
    assert!(
        waited.len() >= times,
        "requests were in flight at {} stops:\n{}",
        waited.len(),
        disk.log().join("\n")
    );
    println!("{} stops with requests in flight:\n{}", waited.len(), waited.join("\n"));
}
