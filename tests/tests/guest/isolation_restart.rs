//! isolation-host is killed while a real guest writes its disk, and started again.

use std::error::Error;

use end_to_end::forwarding::ForwardedDisk;

/// What the guest writes and checks.
const MEBIBYTES: u64 = 256;
/// Requests at a time.
const DEPTH: u32 = 32;

#[test]
fn isolation_host_may_be_killed_under_load_and_costs_the_guest_nothing_but_time() -> Result<(), Box<dyn Error>>
{
    for ring in ["packed=off", "packed=on"] {
        let mut disk = ForwardedDisk::start(MEBIBYTES, &["--log", "debug"])?;
        let device = disk.as_device().reconnecting().with(ring);
        let (mut kills, mut stretches, mut in_flight) = (0, 0, 0);
        let load = disk.load_while(&device, DEPTH, 1, |disk| {
            stretches += 1;
            if stretches % 4 == 0 {
                kills += 1;
                in_flight +=
                    disk.log().iter().filter(|line| line.contains("recovering a queue with")).count();
                disk.crash_forwarder()?;
            }
            Ok(())
        });
        load.inspect_err(|error| eprintln!("{error}"))?;
        assert!(kills >= 25, "{ring}: killed only {kills} times");
        assert!(in_flight > 0, "{ring}: nothing was ever in flight");
        disk.check_image(1)?;
    }
    Ok(())
}
