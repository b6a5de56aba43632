//! Linux's virtio-rng in a real guest reads from the entropy device of vhost-ring's example,
//! directly and through isolation-host, and from vhost-device-rng through isolation-host.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Duration;

use end_to_end::artifacts::{GuestImage, Profile, example, program, vhost_device_rng};
use end_to_end::daemon::Daemon;
use end_to_end::forwarding::start_forwarder;
use end_to_end::guest::{Device, Guest, Overlay, VirtioDevice};
use end_to_end::memory;

const BOOT_AND_READ: Duration = Duration::from_secs(120);
/// The number of bytes that the guest reads.
const BYTES: usize = 16 << 10;

/// Reads from the device, and sends the bytes to the second serial port.
const SCRIPT: &str = "
    set -e
    dd if=/dev/hwrng of=/read bs=512 count=32 iflag=fullblock
    stty -F /dev/ttyS1 raw
    cat /read > /dev/ttyS1";

/// Returns what the device's source contains: a sequence of 32-bit numbers, so each position in the
/// file has different bytes.
fn numbers() -> Vec<u8> {
    (0..1u32 << 18).flat_map(|n| n.wrapping_mul(0x9e37_79b1).to_le_bytes()).collect()
}

/// Starts the entropy device of vhost-ring's example with rings of `format`.
fn start_device(directory: &Path, format: &str) -> Result<Daemon, Box<dyn Error>> {
    let path = |name: &str| directory.join(name).into_os_string();
    fs::write(path("source"), numbers())?;
    let arguments = [path("device.sock"), path("source"), format.into()];
    Ok(Daemon::start_with(&example("entropy")?, &directory.join("device.sock"), arguments)?)
}

/// Boots a guest that reads from the device at `socket`. Calls `watch` at each line of the guest's
/// console. Returns what the guest has read, and whether the guest's ring is packed.
fn read_in_guest(
    directory: &Path,
    socket: &Path,
    mut watch: impl FnMut(),
) -> Result<(Vec<u8>, Option<bool>), Box<dyn Error>> {
    let read = directory.join("read");
    let card = Device::vhost_user("vhost-user-rng-pci", socket).with_serial_output(&read);
    let guest = Guest::boot(&GuestImage::prepared()?, &card, &Overlay::script(SCRIPT))?;
    let run = guest.finish_watched(BOOT_AND_READ, |_| watch())?;
    Ok((fs::read(read)?, run.only(VirtioDevice::ENTROPY).map(VirtioDevice::ring_packed)))
}

/// The guest does not read all bytes that the device gave: Linux uses some of the bytes itself.
#[test]
fn a_guest_reads_from_the_entropy_device_what_the_device_gave() -> Result<(), Box<dyn Error>> {
    for format in ["split", "packed"] {
        let directory = tempfile::tempdir()?;
        let device = start_device(directory.path(), format)?;
        let (read, packed) = read_in_guest(directory.path(), device.socket(), || {})?;
        assert_eq!((read.len(), packed), (BYTES, Some(format == "packed")));
        let runs = runs_of(&read, &numbers())?;
        println!("{format}: {BYTES} bytes read, as they were given, in {runs} runs");
    }
    Ok(())
}

/// Boots a guest that reads from a device through isolation-host. Checks what the guest has read,
/// and that the device has mapped the isolated area only.
fn read_isolated(
    name: &str,
    start: impl FnOnce(&Path) -> Result<Daemon, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let device = start(directory.path())?;
    let program = program("isolation-host", Profile::Debug)?;
    let options = ["--device", "generic"];
    let forwarder = start_forwarder(&program, directory.path(), device.socket(), &options)?;
    let mut memory = BTreeSet::new();
    let (read, packed) = read_in_guest(directory.path(), forwarder.socket(), || {
        memory.extend(memory::of_process(device.id()).unwrap_or_default());
    })?;
    // isolation-host offers packed rings to the guest, whatever the device offers.
    assert_eq!((read.len(), packed), (BYTES, Some(true)));
    assert!(memory.iter().eq([memory::ISOLATED]), "{memory:?}");
    let runs = runs_of(&read, &numbers())?;
    println!("{name}: {BYTES} bytes read, as they were given, in {runs} runs");
    Ok(())
}

#[test]
fn a_guest_reads_from_an_isolated_entropy_device_what_it_gave() -> Result<(), Box<dyn Error>> {
    read_isolated("split", |directory| start_device(directory, "split"))?;
    read_isolated("packed", |directory| start_device(directory, "packed"))
}

/// vhost-device-rng shares no code of the rings with isolation-host.
#[test]
fn a_guest_reads_from_an_isolated_vhost_device_rng_what_it_gave() -> Result<(), Box<dyn Error>> {
    read_isolated("vhost-device-rng", |directory| {
        let path = |name: &str| directory.join(name).into_os_string();
        fs::write(path("source"), numbers())?;
        let arguments = ["-s".into(), path("device.sock"), "-f".into(), path("source")];
        // The program appends the number of the device to the path of its socket.
        Ok(Daemon::start_with(&vhost_device_rng()?, &directory.join("device.sock0"), arguments)?)
    })
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
