//! isolation-host between a guest's driver and vDPA devices of a real kernel.
//!
//! The kernel of the test's guest has the devices: VDUSE makes a vDPA device of a process. The
//! process is `vduse-disk`, whose queues are ring-core's device queues, or qemu-storage-daemon. In
//! the same guest, `vhost-load` is the VMM and the driver, and compares every sector that it reads.

use std::error::Error;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::time::Duration;

use end_to_end::artifacts::{self, GuestImage, Profile};
use end_to_end::guest::{Device, Guest, Overlay};

/// The script that the guest runs.
const SCRIPT: &str = include_str!("run.sh");
/// The cases of the script.
const CASES: [&str; 13] = [
    "split rings, 1 queues",
    "packed rings, 1 queues",
    "split rings, 4 queues",
    "packed rings, 4 queues",
    "qemu-storage-daemon's disk",
    "kills with split rings",
    "kills with packed rings",
    "a stalled disk",
    "a late queue",
    "an open device",
    "a device that needs a reset",
    "migration with split rings",
    "migration with packed rings",
];
/// The limit of the whole test. Only a test that fails reaches the limit.
const WITHIN: Duration = Duration::from_secs(600);

#[test]
fn vdpa_devices_lose_no_sector_whatever_is_killed() -> Result<(), Box<dyn Error>> {
    let mut overlay = Overlay::script(SCRIPT)
        .limit(600)
        .program("programs/isolation-host", &artifacts::program("isolation-host", Profile::Debug)?)?
        .program("programs/vduse-disk", &artifacts::example("vduse-disk")?)?
        .program("programs/vhost-load", &artifacts::example("vhost-load")?)?
        .program("programs/vdpa", Path::new("/usr/sbin/vdpa"))?
        .same_path(Path::new("/usr/bin/qemu-storage-daemon"), OsStr::new(""))?;
    for module in artifacts::vdpa_modules()? {
        let name = module.file_name().unwrap_or_default().to_string_lossy().into_owned();
        overlay = overlay.file(&format!("vdpa/{name}"), fs::read(&module)?);
    }
    let guest = Guest::boot(&GuestImage::prepared()?, &Device::none(), &overlay)?;
    let report = guest.finish(WITHIN)?;
    let passed: Vec<&String> = report.output.iter().filter(|line| line.starts_with("vdpa: ")).collect();
    println!("{passed:#?}");
    for case in CASES {
        let ok = format!("vdpa: {case} ok");
        assert!(passed.iter().any(|line| line.starts_with(&ok)), "{case}: {passed:?}");
    }
    Ok(())
}
