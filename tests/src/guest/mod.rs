//! A real Linux guest under QEMU that runs one script.
//!
//! QEMU emulates the processor (TCG), which works on every machine. The guest's memory is a memfd
//! that a vhost-user daemon can map. The guest prints its report on the serial port and powers off.
//! The host waits for that with a deadline, and QEMU never outlives the test.

mod emulator;
mod migration;
mod overlay;
mod report;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::{NamedTempFile, TempDir};
use thiserror::Error;

use crate::artifacts::GuestImage;
use crate::command_line::CommandLine;
use crate::process::ProcessError;
use emulator::Emulator;
pub use migration::MigrationError;
pub use overlay::Overlay;
pub use report::{Report, VirtioDevice};

/// The script of process 1 in the guest, a part of the initramfs.
pub const INIT: &str = include_str!("init.sh");

/// The emulator.
const QEMU: &str = "qemu-system-x86_64";
/// The size of guest memory: the initramfs and a WAV file of minutes fit.
const MEMORY: &str = "512M";

/// A running guest. Dropping the value kills QEMU.
#[derive(Debug)]
pub struct Guest {
    qemu: Emulator,
    /// QEMU may read this file after `boot` has returned.
    _initramfs: NamedTempFile,
    /// The directory of QEMU's control sockets.
    directory: TempDir,
}

/// QEMU's arguments for a device of the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    arguments: Vec<OsString>,
}

/// An error of a guest.
#[derive(Debug, Error)]
pub enum GuestError {
    /// The initramfs of this run cannot be made.
    #[error("cannot make the guest's initramfs from {base}", base = base.display())]
    Initramfs {
        /// The prepared initramfs.
        base: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// There is no directory for the guest's sockets.
    #[error("cannot create a temporary directory")]
    Directory {
        /// The reason.
        source: io::Error,
    },
    /// QEMU did not start or did not end.
    #[error(transparent)]
    Qemu(#[from] ProcessError),
    /// The guest could not be controlled or migrated.
    #[error(transparent)]
    Migration(#[from] MigrationError),
    /// The guest ended before its script.
    #[error("the guest ended without a report; the end of its console:\n{tail}")]
    NoReport {
        /// The last lines of the console's output.
        tail: String,
    },
    /// The script failed in the guest.
    #[error("the script failed in the guest with exit code {code}; the console:\n{tail}")]
    Script {
        /// The script's exit code.
        code: i32,
        /// The last lines of the console's output.
        tail: String,
    },
}

impl Device {
    /// Returns no device.
    #[must_use]
    pub const fn none() -> Self {
        Self { arguments: Vec::new() }
    }

    /// Returns a PCI device whose virtqueues a vhost-user daemon serves.
    ///
    /// `model` is QEMU's name of the device, such as `vhost-user-snd-pci`. QEMU offers the guest
    /// the ring formats that the daemon offers.
    #[must_use]
    pub fn vhost_user(model: &str, socket: &Path) -> Self {
        let mut chardev = OsString::from("socket,id=daemon,path=");
        chardev.push(socket);
        Self {
            arguments: vec![
                "-chardev".into(),
                chardev,
                "-device".into(),
                format!("{model},chardev=daemon").into(),
            ],
        }
    }

    /// Adds a second serial port to the guest, whose output goes to a file.
    #[must_use]
    pub fn with_serial_output(mut self, output: &Path) -> Self {
        let mut file = OsString::from("file:");
        file.push(output);
        self.arguments.splice(..0, ["-serial".into(), file]);
        self
    }

    /// Adds a disk to the guest, `/dev/vda`, whose content is a file.
    ///
    /// A guest writes to a disk much faster than to a serial port.
    #[must_use]
    pub fn with_disk(mut self, file: &Path) -> Self {
        let mut drive = OsString::from("if=none,id=disk,format=raw,file=");
        drive.push(file);
        let disk = ["-drive".into(), drive, "-device".into(), "virtio-blk-pci,drive=disk".into()];
        self.arguments.splice(..0, disk);
        self
    }

    /// Lets the guest boot again in the same QEMU when the guest reboots. QEMU ends otherwise.
    #[must_use]
    pub fn rebooting(mut self) -> Self {
        self.arguments.splice(..0, ["-action".into(), "reboot=reset".into()]);
        self
    }

    /// Returns the command that boots a guest with this device.
    #[must_use]
    pub fn command_line(&self, image: &GuestImage, initramfs: &Path) -> CommandLine {
        let mut arguments = machine();
        let boot: [OsString; 4] =
            ["-kernel".into(), image.kernel.clone().into(), "-initrd".into(), initramfs.into()];
        arguments.extend(boot.into_iter().chain(self.arguments.iter().cloned()));
        CommandLine { program: QEMU.into(), arguments }
    }

    /// Sets one of QEMU's properties of the device, such as `packed=on`.
    #[must_use]
    pub fn with(mut self, property: &str) -> Self {
        // The last argument is the device itself.
        if let Some(device) = self.arguments.last_mut() {
            device.push(",");
            device.push(property);
        }
        self
    }

    /// Makes QEMU reconnect to the daemon after a lost connection.
    #[must_use]
    pub fn reconnecting(mut self) -> Self {
        if let Some(chardev) = self.arguments.iter_mut().skip_while(|argument| *argument != "-chardev").nth(1)
        {
            chardev.push(",reconnect-ms=50");
        }
        self
    }

    /// Returns QEMU's own sound card, which writes its audio to a WAV file.
    #[must_use]
    pub fn emulated_sound(recording: &Path) -> Self {
        let mut audiodev = OsString::from("wav,out.frequency=48000,out.format=s16,out.channels=2,path=");
        audiodev.push(recording);
        Self::emulated_sound_to(audiodev)
    }

    /// Returns QEMU's own sound card, which plays to an audio back-end of QEMU, such as
    /// `pa,server=unix:/run/pulse`.
    #[must_use]
    pub fn emulated_sound_to(mut audiodev: OsString) -> Self {
        audiodev.push(",id=host");
        Self {
            arguments: vec![
                "-audiodev".into(),
                audiodev,
                "-device".into(),
                "virtio-sound-pci,audiodev=host".into(),
            ],
        }
    }
}

impl Guest {
    /// Boots a guest that runs the overlay's script.
    ///
    /// # Errors
    /// Fails if the initramfs cannot be made or QEMU does not start.
    pub fn boot(image: &GuestImage, device: &Device, overlay: &Overlay) -> Result<Self, GuestError> {
        let mut guest = Self::start(image, device, overlay, |_| Vec::new())?;
        guest.qemu.restart_if_the_boot_fails();
        Ok(guest)
    }

    /// Starts QEMU. `further` returns more arguments for the directory of the control sockets.
    fn start(
        image: &GuestImage,
        device: &Device,
        overlay: &Overlay,
        further: impl FnOnce(&Path) -> Vec<OsString>,
    ) -> Result<Self, GuestError> {
        let directory = tempfile::tempdir().map_err(|source| GuestError::Directory { source })?;
        let initramfs = initramfs_with(&image.initramfs, overlay)
            .map_err(|source| GuestError::Initramfs { base: image.initramfs.clone(), source })?;
        let mut arguments = device.command_line(image, initramfs.path()).arguments;
        arguments.extend(migration::control(directory.path()));
        arguments.extend(further(directory.path()));
        Ok(Self { qemu: Emulator::start(QEMU, arguments)?, _initramfs: initramfs, directory })
    }

    /// Returns the process id of QEMU.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.qemu.id()
    }

    /// Waits until the console has shown `count` lines that begin with `start`.
    ///
    /// # Errors
    /// Fails if the guest ends before, or `within` passes.
    pub fn wait_for_lines(&mut self, start: &str, count: usize, within: Duration) -> Result<(), GuestError> {
        let deadline = Instant::now() + within;
        let mut seen = 0;
        while seen < count {
            match self.qemu.next_line(deadline)? {
                Some(line) => seen += usize::from(line.starts_with(start)),
                None => return Err(GuestError::NoReport { tail: self.qemu.tail() }),
            }
        }
        Ok(())
    }

    /// Waits until the guest has run the script and powered off, and returns its report.
    ///
    /// # Errors
    /// Fails if the script fails, the guest ends before its script, or `within` passes.
    pub fn finish(self, within: Duration) -> Result<Report, GuestError> {
        self.finish_watched(within, |_| {})
    }

    /// Does the same as [`finish`](Self::finish), and passes each line of the console to `watch`.
    ///
    /// # Errors
    /// Fails like [`finish`](Self::finish).
    pub fn finish_watched(
        mut self,
        within: Duration,
        mut watch: impl FnMut(&str),
    ) -> Result<Report, GuestError> {
        let deadline = Instant::now() + within;
        let mut report = Report::default();
        while let Some(line) = self.qemu.next_line(deadline)? {
            report.read(&line);
            watch(&line);
        }
        self.qemu.wait(deadline)?;
        match report.exit_code {
            Some(0) => Ok(report),
            Some(code) => Err(GuestError::Script { code, tail: self.qemu.tail() }),
            None => Err(GuestError::NoReport { tail: self.qemu.tail() }),
        }
    }
}

/// Returns QEMU's arguments for the machine without its devices.
fn machine() -> Vec<OsString> {
    let memory = format!("memory-backend-memfd,id=memory,size={MEMORY},share=on");
    let options = [
        ["-machine", "q35,memory-backend=memory"],
        ["-object", &memory],
        ["-m", MEMORY],
        ["-accel", "tcg"],
        ["-cpu", "max"],
        ["-smp", "2"],
        ["-display", "none"],
        ["-serial", "stdio"],
        // A busy machine may miss the ticks by which Linux checks the timer, and would panic.
        ["-append", "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check"],
    ];
    let flags = ["-nodefaults", "-no-user-config", "-no-reboot"];
    options.into_iter().flatten().chain(flags).map(OsString::from).collect()
}

/// Appends the overlay to a copy of the prepared initramfs in a temporary file.
fn initramfs_with(base: &Path, overlay: &Overlay) -> io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    write_initramfs(base, overlay, &mut file)?;
    Ok(file)
}

/// Writes the prepared initramfs, and the overlay behind it. Linux unpacks both in order.
///
/// # Errors
/// Fails if a file cannot be read or written.
pub fn write_initramfs(base: &Path, overlay: &Overlay, mut file: impl io::Write) -> io::Result<()> {
    io::copy(&mut File::open(base)?, &mut file)?;
    overlay.write(&mut file)?;
    file.flush()
}
