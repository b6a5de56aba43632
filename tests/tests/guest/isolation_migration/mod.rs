//! A guest is paused, or is migrated to another isolation-host, while the guest writes its disk.

mod tap;

use std::error::Error;
use std::path::Path;
use std::thread;
use std::time::Duration;

use end_to_end::forwarding::{ForwardedDisk, Speed};
use isolation_host::protocol::Request;
use isolation_host::protocol::features::LOG_ALL;
use tap::{Log, Seen, Tap};

/// The size of the disk. The guest writes and checks every sector.
const MEBIBYTES: u64 = 256;
/// The number of concurrent requests.
const DEPTH: u32 = 32;
/// The time within which the guest has to begin to write.
const BOOT_AND_BEGIN: Duration = Duration::from_secs(120);
/// The time between two pauses. In this time, the guest sends its next requests.
const BETWEEN_STOPS: Duration = Duration::from_millis(100);

#[test]
fn a_guest_migrates_and_its_device_is_not_asked_to_log() -> Result<(), Box<dyn Error>> {
    a_guest_migrates("packed=off", Log::Shown)
}

#[test]
fn a_guest_migrates_although_its_device_cannot_log() -> Result<(), Box<dyn Error>> {
    a_guest_migrates("packed=on", Log::Hidden)
}

fn a_guest_migrates(ring: &str, log: Log) -> Result<(), Box<dyn Error>> {
    let (mut taps, options) = (Vec::new(), ["--log", "debug"]);
    let mut tap = |device: &Path| {
        let tap = Tap::new(device, log)?;
        let socket = tap.socket().to_owned();
        taps.push(tap);
        Ok(socket)
    };
    let mut source = ForwardedDisk::start_through(&mut tap, MEBIBYTES, &options)?;
    let mut destination = source.start_second_through(&mut tap, &options)?;
    let mut guest = source.start_load(&source.as_device().with(ring), DEPTH, 1)?;
    guest.wait_for_lines("disk-load: Write", 8, BOOT_AND_BEGIN)?;
    let device = destination.as_device().with(ring);
    destination.take_over(guest, &device, DEPTH, 1).inspect_err(|error| eprintln!("{error}"))?;
    source.check_image(1)?;
    // isolation-host logged dirty pages itself and did not pass the request on to the device.
    assert!(source.log().iter().any(|line| line.contains("dirty pages are logged")));
    for Seen { requests, offered, asked } in taps.iter().map(Tap::seen) {
        // qemu-storage-daemon offers the feature; isolation-host does not request it.
        assert_eq!((offered & LOG_ALL, asked & LOG_ALL), (LOG_ALL, 0));
        assert!(!requests.iter().any(|request| matches!(request, Request::SetLogBase | Request::SetLogFd)));
        println!(
            "{ring}: the device offers {offered:#x} (LOG_ALL {log:?}), was asked for {asked:#x}, and got {} \
             requests, none of them about a log",
            requests.len()
        );
    }
    Ok(())
}

#[test]
fn a_pause_with_requests_in_flight_at_a_slow_device_loses_none() -> Result<(), Box<dyn Error>> {
    let mut disk = ForwardedDisk::start_at(Speed::Requests(15), 32, &["--log", "debug"])?;
    let mut guest = disk.start_load(&disk.as_device().with("packed=on"), 4, 1)?;
    guest.wait_for_lines("disk-load: Write", 1, BOOT_AND_BEGIN)?;
    for _ in 0..8 {
        thread::park_timeout(BETWEEN_STOPS);
        guest.pause_and_resume(BOOT_AND_BEGIN)?;
    }
    guest.finish(BOOT_AND_BEGIN).inspect_err(|error| eprintln!("{error}"))?;
    disk.check_image(1)?;
    assert_stopped_in_flight(&mut disk, 8);
    Ok(())
}

#[test]
fn a_migration_with_requests_in_flight_at_a_slow_device_loses_none() -> Result<(), Box<dyn Error>> {
    for ring in ["packed=off", "packed=on"] {
        let mut source = ForwardedDisk::start_at(Speed::Requests(15), 16, &["--log", "debug"])?;
        let mut destination = source.start_second(&[])?;
        let mut guest = source.start_load(&source.as_device().with(ring), 8, 1)?;
        guest.wait_for_lines("disk-load: Write", 1, BOOT_AND_BEGIN)?;
        let device = destination.as_device().with(ring);
        destination.take_over(guest, &device, 8, 1).inspect_err(|error| eprintln!("{error}"))?;
        source.check_image(1)?;
        assert_stopped_in_flight(&mut source, 1);
    }
    Ok(())
}

/// Asserts that requests were in flight at `times` or more stops of a queue.
///
/// Without isolation-host these requests would be lost, because qemu-storage-daemon forgets them.
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
