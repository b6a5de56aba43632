//! A disk behind isolation-host. qemu-storage-daemon serves the image and never sees guest memory.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use thiserror::Error;

use crate::artifacts::{ArtifactError, GuestImage, Profile, program};
use crate::command_line::CommandLine;
use crate::daemon::{Daemon, DaemonError};
use crate::disk::{Content, SECTOR, WrongSector};
use crate::guest::{self, Device, Guest, GuestError, Overlay};

/// The longest time that a guest may take. On an idle machine a boot takes 5 s and a pass over 256
/// MiB 10 s.
const WITHIN: Duration = Duration::from_secs(200);
/// The number of the disk's queues: one for each of the guest's processors.
const QUEUES: u32 = 2;

/// A disk, the device that serves the disk, and isolation-host between device and guest.
#[derive(Debug)]
pub struct ForwardedDisk {
    image: PathBuf,
    directory: TempDir,
    device: Daemon,
    /// The socket to which isolation-host connects.
    device_socket: PathBuf,
    forwarder: Daemon,
    mebibytes: u64,
    speed: Speed,
    /// The options of isolation-host besides the sockets.
    options: Vec<String>,
}

/// The speed of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speed {
    /// Without a limit.
    Full,
    /// This number of requests a second, so that some requests are always in flight.
    Requests(u32),
}

/// An error of a disk behind isolation-host.
#[derive(Debug, Error)]
pub enum ForwardingError {
    /// The image cannot be created or read.
    #[error("cannot create or read the disk's image")]
    Image(#[from] io::Error),
    /// A program or the guest's image is missing.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A daemon did not start.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// The guest failed.
    #[error("{source}\nisolation-host's log:\n{log}")]
    Guest {
        /// The guest's error.
        source: GuestError,
        /// isolation-host's log.
        log: String,
    },
    /// The image differs from what the guest wrote.
    #[error("{0}")]
    Wrong(WrongSector),
}

impl ForwardedDisk {
    /// Starts a device with an empty disk, and isolation-host with further `options`.
    ///
    /// # Errors
    /// Fails if a process does not start.
    pub fn start(mebibytes: u64, options: &[&str]) -> Result<Self, ForwardingError> {
        Self::start_at(Speed::Full, mebibytes, options)
    }

    /// Does the same as [`start`](Self::start), with a device of the given speed.
    ///
    /// # Errors
    /// Fails if a process does not start.
    pub fn start_at(speed: Speed, mebibytes: u64, options: &[&str]) -> Result<Self, ForwardingError> {
        let (directory, image) = empty_image(mebibytes)?;
        Self::start_on(&image, directory, mebibytes, speed, direct, options)
    }

    /// Does the same as [`start`](Self::start), with a relay between isolation-host and device.
    ///
    /// `relay` takes the device's socket and returns the socket to which isolation-host connects.
    ///
    /// # Errors
    /// Fails if a process does not start.
    pub fn start_through(
        relay: impl FnOnce(&Path) -> io::Result<PathBuf>,
        mebibytes: u64,
        options: &[&str],
    ) -> Result<Self, ForwardingError> {
        let (directory, image) = empty_image(mebibytes)?;
        Self::start_on(&image, directory, mebibytes, Speed::Full, relay, options)
    }

    fn start_on(
        image: &Path,
        directory: TempDir,
        mebibytes: u64,
        speed: Speed,
        relay: impl FnOnce(&Path) -> io::Result<PathBuf>,
        options: &[&str],
    ) -> Result<Self, ForwardingError> {
        let device = start_device(image, directory.path(), speed)?;
        let options: Vec<&str> = ["--device", "blk"].into_iter().chain(options.iter().copied()).collect();
        let program = program("isolation-host", Profile::Debug)?;
        let device_socket = relay(device.socket())?;
        let forwarder = start_forwarder(&program, directory.path(), &device_socket, &options)?;
        let options = options.into_iter().map(str::to_owned).collect();
        let image = image.to_owned();
        Ok(Self { image, directory, device, device_socket, forwarder, mebibytes, speed, options })
    }

    /// Returns QEMU's description of the disk.
    #[must_use]
    pub fn as_device(&self) -> Device {
        Device::vhost_user("vhost-user-blk-pci", self.forwarder.socket())
            .with(&format!("num-queues={QUEUES}"))
    }

    /// Boots a guest that writes and checks its disk `passes` times, `depth` requests at a time.
    ///
    /// # Errors
    /// Fails if a process fails or a sector is wrong.
    pub fn load(
        &mut self,
        device: &Device,
        depth: u32,
        passes: u32,
    ) -> Result<guest::Report, ForwardingError> {
        self.load_while(device, depth, passes, |_| Ok(()))
    }

    /// Does the same as [`load`](Self::load), and calls `meanwhile` after each chunk of 4 MiB.
    ///
    /// # Errors
    /// Fails if a process or `meanwhile` fails, or a sector is wrong.
    pub fn load_while(
        &mut self,
        device: &Device,
        depth: u32,
        passes: u32,
        mut meanwhile: impl FnMut(&mut Self) -> Result<(), ForwardingError>,
    ) -> Result<guest::Report, ForwardingError> {
        let overlay = self.overlay(depth, passes)?;
        let mut done = Ok(());
        let report = Guest::boot(&GuestImage::prepared()?, device, &overlay).and_then(|guest| {
            guest.finish_watched(WITHIN, |line| {
                if line.starts_with("disk-load: ") && done.is_ok() {
                    done = meanwhile(self);
                }
            })
        });
        done?;
        report.map_err(|source| ForwardingError::Guest { source, log: self.forwarder.log().join("\n") })
    }

    /// Starts a guest that writes and checks the disk, without waiting for its end.
    ///
    /// # Errors
    /// Fails if the guest does not start.
    pub fn start_load(&self, device: &Device, depth: u32, passes: u32) -> Result<Guest, ForwardingError> {
        Guest::boot(&GuestImage::prepared()?, device, &self.overlay(depth, passes)?)
            .map_err(|source| ForwardingError::Guest { source, log: String::new() })
    }

    /// Starts a second device for the same image, with an isolation-host of its own.
    ///
    /// # Errors
    /// Fails if a process does not start.
    pub fn start_second(&self, options: &[&str]) -> Result<Self, ForwardingError> {
        self.start_second_through(direct, options)
    }

    /// Does the same as [`start_second`](Self::start_second), with a relay.
    ///
    /// # Errors
    /// Fails if a process does not start.
    pub fn start_second_through(
        &self,
        relay: impl FnOnce(&Path) -> io::Result<PathBuf>,
        options: &[&str],
    ) -> Result<Self, ForwardingError> {
        Self::start_on(&self.image, tempfile::tempdir()?, self.mebibytes, self.speed, relay, options)
    }

    /// Migrates a guest to a new QEMU with this disk, and waits until the guest has finished.
    ///
    /// # Errors
    /// Fails if the guest cannot be migrated or fails afterwards.
    pub fn take_over(
        &mut self,
        mut guest: Guest,
        device: &Device,
        depth: u32,
        passes: u32,
    ) -> Result<guest::Report, ForwardingError> {
        let overlay = self.overlay(depth, passes)?;
        let image = GuestImage::prepared()?;
        guest
            .migrate(&image, device, &overlay, WITHIN)
            .and_then(|moved| moved.finish(WITHIN))
            .map_err(|source| ForwardingError::Guest { source, log: self.forwarder.log().join("\n") })
    }

    /// Kills the device, as a crash would, and starts the device again.
    ///
    /// # Errors
    /// Fails if the device does not start.
    pub fn crash_device(&mut self) -> Result<(), ForwardingError> {
        self.device.kill()?;
        self.device = start_device(&self.image, self.directory.path(), self.speed)?;
        Ok(())
    }

    /// Kills isolation-host, as a crash would, and starts isolation-host again.
    ///
    /// # Errors
    /// Fails if isolation-host does not start.
    pub fn crash_forwarder(&mut self) -> Result<(), ForwardingError> {
        self.forwarder.kill()?;
        let options: Vec<&str> = self.options.iter().map(String::as_str).collect();
        let program = program("isolation-host", Profile::Debug)?;
        self.forwarder = start_forwarder(&program, self.directory.path(), &self.device_socket, &options)?;
        Ok(())
    }

    /// Checks the image file after pass `pass` of the load.
    ///
    /// # Errors
    /// Fails if a sector is wrong.
    pub fn check_image(&self, pass: u32) -> Result<(), ForwardingError> {
        let mut file = File::open(&self.image)?;
        let mut buffer = vec![0; 1 << 20];
        let content = Content { pass };
        for mebibyte in 0..self.mebibytes {
            file.read_exact(&mut buffer)?;
            let first = mebibyte * (1 << 20) / SECTOR as u64;
            content.check(first, &buffer).map_err(ForwardingError::Wrong)?;
        }
        Ok(())
    }

    /// Returns the device.
    #[must_use]
    pub fn device(&self) -> &Daemon {
        &self.device
    }

    /// Returns the socket on which isolation-host listens for a VMM.
    #[must_use]
    pub fn socket(&self) -> &Path {
        self.forwarder.socket()
    }

    /// Returns isolation-host's log so far.
    pub fn log(&mut self) -> &[String] {
        self.forwarder.log()
    }

    fn overlay(&self, depth: u32, passes: u32) -> Result<Overlay, ForwardingError> {
        let script = format!("/disk-load /dev/vda {} {depth} {passes}", self.mebibytes);
        Ok(Overlay::script(&script).program("disk-load", &program("disk-load", Profile::Debug)?)?)
    }
}

/// Creates a directory with an empty image.
fn empty_image(mebibytes: u64) -> io::Result<(TempDir, PathBuf)> {
    let directory = tempfile::tempdir()?;
    let image = directory.path().join("disk.raw");
    File::create(&image)?.set_len(mebibytes << 20)?;
    Ok((directory, image))
}

/// Returns the device's own socket: no relay.
fn direct(device: &Path) -> io::Result<PathBuf> {
    Ok(device.to_owned())
}

/// Starts isolation-host for the device at a socket. It listens for a VMM in `directory`.
///
/// # Errors
/// Fails if isolation-host does not listen in time.
pub fn start_forwarder(
    program: &Path,
    directory: &Path,
    device: &Path,
    options: &[&str],
) -> Result<Daemon, ForwardingError> {
    let CommandLine { program, arguments } = forwarder(program, directory, device, options);
    Ok(Daemon::start_with(Path::new(&program), &vmm_socket(directory), arguments)?)
}

/// Returns the command that starts isolation-host in front of the device on the socket `device`.
#[must_use]
pub fn forwarder(program: &Path, directory: &Path, device: &Path, options: &[&str]) -> CommandLine {
    let mut arguments: Vec<OsString> = vec![
        "--vmm".into(),
        endpoint("listen", &vmm_socket(directory)),
        "--device-socket".into(),
        endpoint("connect", device),
    ];
    arguments.extend(options.iter().map(Into::into));
    CommandLine { program: program.into(), arguments }
}

/// Returns the socket in `directory` on which isolation-host listens for a VMM.
#[must_use]
pub fn vmm_socket(directory: &Path) -> PathBuf {
    directory.join("vmm.sock")
}

/// Starts qemu-storage-daemon, which serves an image on a socket in `directory`.
fn start_device(image: &Path, directory: &Path, speed: Speed) -> Result<Daemon, DaemonError> {
    let socket = directory.join("device.sock");
    let mut file = OsString::from("driver=file,node-name=disk,locking=off,filename=");
    file.push(image);
    let mut arguments = vec![OsString::from("--blockdev"), file];
    let node = match speed {
        Speed::Full => "disk",
        Speed::Requests(number) => {
            let throttle = format!("throttle-group,id=limit,x-iops-total={number}");
            let slow = "driver=throttle,node-name=slow,throttle-group=limit,file=disk";
            arguments.extend(["--object", &throttle, "--blockdev", slow].map(OsString::from));
            "slow"
        }
    };
    let mut export = OsString::from(format!(
        "type=vhost-user-blk,id=export,node-name={node},writable=on,num-queues={QUEUES},addr.type=unix,addr.path="
    ));
    export.push(&socket);
    arguments.extend(["--export".into(), export]);
    Daemon::start_with(Path::new("qemu-storage-daemon"), &socket, arguments)
}

fn endpoint(kind: &str, path: &Path) -> OsString {
    let mut endpoint = OsString::from(format!("{kind}:"));
    endpoint.push(path);
    endpoint
}
