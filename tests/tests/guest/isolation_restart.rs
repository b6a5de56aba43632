//! isolation-host is killed and started again while a real guest writes its disk.

use std::error::Error;

use end_to_end::forwarding::ForwardedDisk;

/// The size of the disk. The guest writes and checks every sector.
const MEBIBYTES: u64 = 256;
/// The number of concurrent requests.
const DEPTH: u32 = 32;

#[test]
fn kills_of_isolation_host_under_load_corrupt_no_sector() -> Result<(), Box<dyn Error>> {
    for ring in ["packed=off", "packed=on"] {
        let mut disk = ForwardedDisk::start(MEBIBYTES, &["--log", "debug"])?;
        let device = disk.as_device().reconnecting().with(ring);
        let (mut kills, mut chunks, mut in_flight) = (0, 0, 0);
        let load = disk.load_while(&device, DEPTH, 1, |disk| {
            chunks += 1;
            if chunks % 4 == 0 {
                kills += 1;
                in_flight +=
                    disk.log().iter().filter(|line| line.contains("recovering a queue with")).count();
                disk.crash_forwarder()?;
            }
            Ok(())
        });
        load.inspect_err(|error| eprintln!("{error}"))?;
        assert!(kills >= 25, "{ring}: killed only {kills} times");
        assert!(in_flight > 0, "{ring}: no request was in flight at any kill");
        disk.check_image(1)?;
    }
    Ok(())
}
