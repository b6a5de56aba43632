//! Linux's block driver in a real guest, through isolation-host, to qemu-storage-daemon.

use std::error::Error;

use end_to_end::forwarding::ForwardedDisk;
use end_to_end::guest::VirtioDevice;

/// What the guest writes and checks.
const MEBIBYTES: u64 = 256;
/// Requests at a time.
const DEPTH: u32 = 32;

#[test]
fn a_guest_writes_and_reads_back_a_disk_over_split_rings() -> Result<(), Box<dyn Error>> {
    a_guest_writes_and_reads_back_a_disk("packed=off")
}

#[test]
fn a_guest_uses_packed_rings_with_a_device_that_has_none() -> Result<(), Box<dyn Error>> {
    a_guest_writes_and_reads_back_a_disk("packed=on")
}

fn a_guest_writes_and_reads_back_a_disk(ring: &str) -> Result<(), Box<dyn Error>> {
    let mut disk = ForwardedDisk::start(MEBIBYTES, &[])?;
    let device = disk.as_device().with(ring);
    let report = disk.load(&device, DEPTH, 1).inspect_err(|error| eprintln!("{error}"))?;
    let negotiated = report.only(VirtioDevice::BLOCK).map(VirtioDevice::ring_packed);
    assert_eq!(negotiated, Some(ring == "packed=on"));
    disk.check_image(1)?;
    Ok(())
}

#[test]
fn a_device_that_crashes_fifty_times_costs_the_guest_nothing_but_time() -> Result<(), Box<dyn Error>> {
    for ring in ["packed=off", "packed=on"] {
        let mut disk = ForwardedDisk::start(MEBIBYTES, &[])?;
        let device = disk.as_device().with(ring);
        let mut crashes = 0;
        let load = disk.load_while(&device, DEPTH, 1, |disk| {
            crashes += 1;
            disk.crash_device()
        });
        load.inspect_err(|error| eprintln!("{error}"))?;
        assert!(crashes >= 50, "{ring}: only {crashes} crashes");
        disk.check_image(1)?;
    }
    Ok(())
}
