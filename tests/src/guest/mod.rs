//! A real Linux guest under QEMU, booted for one script.
//!
//! The guest runs in emulation (TCG), which works on every machine. Its memory is a memfd that a
//! vhost-user daemon can map. It prints its report on the serial port and powers off; the host
//! waits for that with a deadline and never leaves QEMU behind.

mod migration;
mod overlay;
mod report;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::{NamedTempFile, TempDir};
use thiserror::Error;

use crate::artifacts::GuestImage;
use crate::process::{Process, ProcessError};
pub use migration::MigrationError;
pub use overlay::Overlay;
pub use report::{Report, VirtioDevice};

/// The program that is process 1 in the guest. It belongs to the initramfs.
pub const INIT: &str = include_str!("init.sh");

/// The emulator.
const QEMU: &str = "qemu-system-x86_64";
/// The guest's memory, enough for the initramfs and a WAV file of minutes.
const MEMORY: &str = "512M";

/// A guest that has been started.
#[derive(Debug)]
pub struct Guest {
    qemu: Process,
    /// QEMU reads it when it starts, which may be after `boot` has returned.
    _initramfs: NamedTempFile,
    /// Where the sockets are through which QEMU is controlled.
    directory: TempDir,
}

/// A device of the guest, as QEMU is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    arguments: Vec<OsString>,
}

/// Why a guest did not do what it was booted for.
#[derive(Debug, Error)]
pub enum GuestError {
    /// The initramfs for this run could not be put together.
    #[error("the guest's initramfs cannot be made from {base}", base = base.display())]
    Initramfs {
        /// The prepared initramfs.
        base: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is no place for the guest's sockets.
    #[error("no temporary directory can be made")]
    Directory {
        /// Why not.
        source: io::Error,
    },
    /// QEMU did not start or did not end.
    #[error(transparent)]
    Qemu(#[from] ProcessError),
    /// The guest could not be moved.
    #[error(transparent)]
    Migration(#[from] MigrationError),
    /// The guest is gone without having run the script to its end.
    #[error("the guest ended without a report; the last it wrote:\n{tail}")]
    NoReport {
        /// The end of the console.
        tail: String,
    },
    /// The script failed in the guest.
    #[error("the script failed in the guest with exit code {code}; the console:\n{tail}")]
    Script {
        /// The script's exit code.
        code: i32,
        /// The end of the console.
        tail: String,
    },
}

impl Device {
    /// A PCI device whose virtqueues a vhost-user daemon serves.
    ///
    /// `model` is QEMU's name of the device, such as `vhost-user-snd-pci`. Which ring formats the
    /// guest may choose from is the daemon's to say: QEMU passes on what it offers.
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

    /// The same device, and a second serial port, whose output goes to a file.
    #[must_use]
    pub fn with_port(mut self, output: &Path) -> Self {
        let mut file = OsString::from("file:");
        file.push(output);
        self.arguments.splice(..0, ["-serial".into(), file]);
        self
    }

    /// The same device with one of QEMU's properties set, such as `packed=on`.
    #[must_use]
    pub fn with(mut self, property: &str) -> Self {
        // The last argument is the device itself.
        if let Some(device) = self.arguments.last_mut() {
            device.push(",");
            device.push(property);
        }
        self
    }

    /// The same device, to whose daemon QEMU connects again when it is gone.
    #[must_use]
    pub fn reconnecting(mut self) -> Self {
        if let Some(chardev) = self.arguments.iter_mut().skip_while(|argument| *argument != "-chardev").nth(1)
        {
            chardev.push(",reconnect-ms=50");
        }
        self
    }

    /// QEMU's own sound card, which writes what it is given to a WAV file.
    #[must_use]
    pub fn emulated_sound(recording: &Path) -> Self {
        let mut audiodev =
            OsString::from("wav,id=host,out.frequency=48000,out.format=s16,out.channels=2,path=");
        audiodev.push(recording);
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
    /// If the initramfs cannot be put together or QEMU does not start.
    pub fn boot(image: &GuestImage, device: &Device, overlay: &Overlay) -> Result<Self, GuestError> {
        Self::start(image, device, overlay, |_| Vec::new())
    }

    /// Starts QEMU with further arguments, which may depend on the guest's own directory.
    fn start(
        image: &GuestImage,
        device: &Device,
        overlay: &Overlay,
        further: impl FnOnce(&Path) -> Vec<OsString>,
    ) -> Result<Self, GuestError> {
        let directory = tempfile::tempdir().map_err(|source| GuestError::Directory { source })?;
        let initramfs = initramfs_with(&image.initramfs, overlay)
            .map_err(|source| GuestError::Initramfs { base: image.initramfs.clone(), source })?;
        let mut arguments: Vec<OsString> = [
            "-machine",
            "q35,memory-backend=memory",
            "-object",
            &format!("memory-backend-memfd,id=memory,size={MEMORY},share=on"),
            "-m",
            MEMORY,
            "-accel",
            "tcg",
            "-cpu",
            "max",
            "-smp",
            "2",
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-serial",
            "stdio",
            "-no-reboot",
            "-append",
            "console=ttyS0 quiet panic=-1 mitigations=off",
        ]
        .map(OsString::from)
        .into();
        arguments.extend([
            "-kernel".into(),
            image.kernel.clone().into(),
            "-initrd".into(),
            initramfs.path().into(),
        ]);
        arguments.extend(device.arguments.iter().cloned());
        arguments.extend(migration::control(directory.path()));
        arguments.extend(further(directory.path()));
        Ok(Self { qemu: Process::start(QEMU, arguments)?, _initramfs: initramfs, directory })
    }

    /// The process id of QEMU.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.qemu.id()
    }

    /// Waits until the console has shown so many lines with this start.
    ///
    /// # Errors
    /// If the guest ends before, or `within` has passed.
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
    /// If the script fails, the guest ends before it, or `within` has passed.
    pub fn finish(self, within: Duration) -> Result<Report, GuestError> {
        self.finish_watched(within, |_| {})
    }

    /// The same, and shows each line of the console to `watch` as it comes.
    ///
    /// # Errors
    /// As for [`finish`](Self::finish).
    pub fn finish_watched(
        mut self,
        within: Duration,
        mut watch: impl FnMut(&str),
    ) -> Result<Report, GuestError> {
        let deadline = Instant::now() + within;
        let mut report = Report::default();
        while let Some(line) = self.qemu.next_line(deadline)? {
            report.read(line);
            watch(line);
        }
        self.qemu.wait(deadline)?;
        match report.exit_code {
            Some(0) => Ok(report),
            Some(code) => Err(GuestError::Script { code, tail: self.qemu.tail() }),
            None => Err(GuestError::NoReport { tail: self.qemu.tail() }),
        }
    }
}

/// The prepared initramfs with the overlay behind it: Linux unpacks one after the other.
fn initramfs_with(base: &Path, overlay: &Overlay) -> io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    io::copy(&mut File::open(base)?, &mut file)?;
    overlay.write(&mut file)?;
    file.flush()?;
    Ok(file)
}
