//! Linux's virtio-rng in a real guest reads from the entropy device of vhost-ring's example.

use std::error::Error;
use std::fs;
use std::time::Duration;

use end_to_end::artifacts::{GuestImage, example};
use end_to_end::daemon::Daemon;
use end_to_end::guest::{Device, Guest, Overlay, VirtioDevice};

const BOOT_AND_READ: Duration = Duration::from_secs(120);
/// The number of bytes that the guest reads.
const BYTES: usize = 16 << 10;

/// Reads from the device, and sends the bytes to the second serial port.
const SCRIPT: &str = "
    set -e
    dd if=/dev/hwrng of=/read bs=512 count=32 iflag=fullblock
    stty -F /dev/ttyS1 raw
    cat /read > /dev/ttyS1";

/// The device's source is a file with a sequence of 32-bit numbers, so each position in the file
/// has different bytes. Linux uses some of the bytes itself.
#[test]
fn a_guest_reads_from_the_entropy_device_what_the_device_gave() -> Result<(), Box<dyn Error>> {
    for format in ["split", "packed"] {
        let directory = tempfile::tempdir()?;
        let path = |name: &str| directory.path().join(name);
        let given: Vec<u8> =
            (0..1u32 << 18).flat_map(|n| n.wrapping_mul(0x9e37_79b1).to_le_bytes()).collect();
        fs::write(path("source"), &given)?;
        let socket = path("socket");
        let arguments =
            [socket.as_os_str(), path("source").as_os_str(), format.as_ref()].map(ToOwned::to_owned);
        let device = Daemon::start_with(&example("entropy")?, &socket, arguments)?;

        let card =
            Device::vhost_user("vhost-user-rng-pci", device.socket()).with_serial_output(&path("read"));
        let run =
            Guest::boot(&GuestImage::prepared()?, &card, &Overlay::script(SCRIPT))?.finish(BOOT_AND_READ)?;

        let negotiated = run.only(VirtioDevice::ENTROPY).map(VirtioDevice::ring_packed);
        assert_eq!(negotiated, Some(format == "packed"));
        let read = fs::read(path("read"))?;
        assert_eq!(read.len(), BYTES);
        let runs = runs_of(&read, &given)?;
        println!("{format}: {BYTES} bytes read, as they were given, in {runs} runs");
    }
    Ok(())
}

/// Divides `read` into runs of consecutive bytes of `given`, each behind the run before. Returns
/// the number of runs. Fails at a byte that the device did not give at this position.
fn runs_of(read: &[u8], given: &[u8]) -> Result<usize, String> {
    const WORD: usize = 4;
    let (mut at, mut runs) = (0, 0);
    let mut next = 0;
    while at < read.len() {
        let word = read.get(at..at + WORD).ok_or_else(|| format!("half a number at {at}"))?;
        let ahead = given[next..].chunks_exact(WORD).position(|given| given == word);
        let ahead = ahead.ok_or_else(|| format!("byte {at} was not given after byte {next}"))?;
        runs += usize::from(ahead > 0 || at == 0);
        (at, next) = (at + WORD, next + WORD * (ahead + 1));
    }
    Ok(runs)
}
