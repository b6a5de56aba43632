//! Linux's block driver in a real guest uses qemu-storage-daemon through isolation-host.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use end_to_end::connection;
use end_to_end::forwarding::ForwardedDisk;
use end_to_end::guest::VirtioDevice;
use end_to_end::memory;

/// The size of the disk. The guest writes and checks every sector.
const MEBIBYTES: u64 = 256;
/// The number of concurrent requests.
const DEPTH: u32 = 32;
/// The longest time for booting, writing and checking.
const BOOT_AND_LOAD: Duration = Duration::from_secs(200);
/// The number of cuts of the VMM's connection, if the guest runs long enough.
const CUTS: u32 = 60;
/// The time between two cuts: twice the delay after which QEMU reconnects.
const BETWEEN_CUTS: Duration = Duration::from_millis(100);

#[test]
fn a_guest_writes_and_reads_back_a_disk_over_split_rings() -> Result<(), Box<dyn Error>> {
    a_guest_writes_and_reads_back_a_disk("packed=off")
}

#[test]
fn a_guest_uses_packed_rings_with_a_device_without_them() -> Result<(), Box<dyn Error>> {
    a_guest_writes_and_reads_back_a_disk("packed=on")
}

fn a_guest_writes_and_reads_back_a_disk(ring: &str) -> Result<(), Box<dyn Error>> {
    let mut disk = ForwardedDisk::start(MEBIBYTES, &["--log", "debug"])?;
    let device = disk.as_device().with(ring);
    let mut memory = BTreeSet::new();
    let report = disk.load_while(&device, DEPTH, 1, |disk| {
        memory.extend(memory::of_process(disk.device().id())?);
        Ok(())
    });
    let report = report.inspect_err(|error| eprintln!("{error}"))?;
    let negotiated = report.only(VirtioDevice::BLOCK).map(VirtioDevice::ring_packed);
    assert_eq!(negotiated, Some(ring == "packed=on"));
    disk.check_image(1)?;
    assert!(memory.iter().eq([memory::ISOLATED]), "{memory:?}");
    let queues = [0, 1].map(|queue| requests(queue, disk.log()));
    assert!(queues.iter().all(|requests| *requests > 100), "{queues:?}");
    println!(
        "{ring}: {MEBIBYTES} MiB are correct in the image; requests on each queue: {queues:?}; \
         memory files of the device: {memory:?}"
    );
    Ok(())
}

/// Returns how many requests passed through a queue. isolation-host logs the number when the queue
/// ends.
fn requests(queue: u32, log: &[String]) -> u64 {
    let ends = format!("queue {queue} ends at ");
    let counts = log.iter().filter_map(|line| {
        let (_, statistics) = line.split_once(&ends)?.1.split_once(": ")?;
        statistics.split_whitespace().next()?.parse::<u64>().ok()
    });
    counts.sum()
}

#[test]
fn fifty_crashes_of_the_device_corrupt_no_sector() -> Result<(), Box<dyn Error>> {
    for ring in ["packed=off", "packed=on"] {
        let mut disk = ForwardedDisk::start(MEBIBYTES, &[])?;
        let device = disk.as_device().with(ring);
        let (mut crashes, mut chunks) = (0, 0);
        let load = disk.load_while(&device, DEPTH, 1, |disk| {
            chunks += 1;
            if chunks % 2 == 0 {
                crashes += 1;
                disk.crash_device()?;
            }
            Ok(())
        });
        load.inspect_err(|error| eprintln!("{error}"))?;
        assert!(crashes >= 50, "{ring}: only {crashes} crashes");
        disk.check_image(1)?;
    }
    Ok(())
}

#[test]
fn fifty_cuts_of_the_vmms_connection_corrupt_no_sector() -> Result<(), Box<dyn Error>> {
    for ring in ["packed=off", "packed=on"] {
        let mut disk = ForwardedDisk::start(MEBIBYTES, &[])?;
        let socket = disk.socket().to_owned();
        let guest = disk.start_load(&disk.as_device().reconnecting().with(ring), DEPTH, 1)?;
        let qemu = guest.id();
        let ended = AtomicBool::new(false);
        let (run, cuts) = thread::scope(|scope| {
            let cutter = scope.spawn(|| {
                let mut cuts = 0;
                while cuts < CUTS && !ended.load(Ordering::Relaxed) {
                    thread::park_timeout(BETWEEN_CUTS);
                    // QEMU may have ended by now.
                    cuts += u32::from(connection::cut(qemu, &socket).unwrap_or(false));
                }
                cuts
            });
            let run = guest.finish(BOOT_AND_LOAD);
            ended.store(true, Ordering::Relaxed);
            (run, cutter.join())
        });
        run.inspect_err(|error| eprintln!("{error}\n{}", disk.log().join("\n")))?;
        let cuts = cuts.map_err(|_| "the thread that cuts connections panicked")?;
        disk.check_image(1)?;
        println!("{ring}: {MEBIBYTES} MiB are correct after {cuts} cuts of the VMM's connection");
        assert!(cuts >= 50);
    }
    Ok(())
}
