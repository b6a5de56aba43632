//! A disk behind isolation-host: qemu-storage-daemon serves an image file, and never sees the guest's memory.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use thiserror::Error;

use crate::artifacts::{ArtifactError, GuestImage, Profile, program};
use crate::daemon::{Daemon, DaemonError};
use crate::disk::{Content, SECTOR, WrongSector};
use crate::guest::{self, Device, Guest, GuestError, Overlay};

/// What the guest may take. A boot takes 5 s on an idle machine, a pass over 256 MiB another 10.
const WITHIN: Duration = Duration::from_secs(200);
/// Queues of the disk: one for each of the guest's processors.
const QUEUES: u32 = 2;

/// A disk, its device and isolation-host in front of it.
#[derive(Debug)]
pub struct ForwardedDisk {
    image: PathBuf,
    directory: TempDir,
    device: Daemon,
    /// Where isolation-host reaches the device.
    way: PathBuf,
    forwarder: Daemon,
    mebibytes: u64,
    speed: Speed,
    /// What isolation-host was started with besides sockets.
    options: Vec<String>,
}

/// How fast a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speed {
    /// As fast as it can.
    Full,
    /// So many requests a second, so that there are always some in flight.
    Requests(u32),
}

/// Why the disk could not be tried, or is not as it should be.
#[derive(Debug, Error)]
pub enum ForwardingError {
    /// There is no place for the image, or it cannot be read.
    #[error("the disk's image")]
    Image(#[from] io::Error),
    /// Something is missing.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A daemon did not start.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// The guest did not do what it was booted for.
    #[error("{source}\nisolation-host's log:\n{log}")]
    Guest {
        /// What happened to the guest.
        source: GuestError,
        /// What isolation-host wrote meanwhile.
        log: String,
    },
    /// The image is not what the guest wrote.
    #[error("{0}")]
    Wrong(WrongSector),
}

impl ForwardedDisk {
    /// Starts a device with an empty disk, and isolation-host with these further options.
    ///
    /// # Errors
    /// If either does not start.
    pub fn start(mebibytes: u64, options: &[&str]) -> Result<Self, ForwardingError> {
        Self::start_at(Speed::Full, mebibytes, options)
    }

    /// The same, with a device of that speed.
    ///
    /// # Errors
    /// If either does not start.
    pub fn start_at(speed: Speed, mebibytes: u64, options: &[&str]) -> Result<Self, ForwardingError> {
        let directory = tempfile::tempdir()?;
        let image = directory.path().join("disk.raw");
        File::create(&image)?.set_len(mebibytes << 20)?;
        Self::start_on(&image, directory, mebibytes, speed, direct, options)
    }

    /// The same, with something between the device and isolation-host: `way` is given the device's socket, and says
    /// which one to connect to instead.
    ///
    /// # Errors
    /// If anything does not start.
    pub fn start_by(
        way: impl FnOnce(&Path) -> io::Result<PathBuf>,
        mebibytes: u64,
        options: &[&str],
    ) -> Result<Self, ForwardingError> {
        let directory = tempfile::tempdir()?;
        let image = directory.path().join("disk.raw");
        File::create(&image)?.set_len(mebibytes << 20)?;
        Self::start_on(&image, directory, mebibytes, Speed::Full, way, options)
    }

    fn start_on(
        image: &Path,
        directory: TempDir,
        mebibytes: u64,
        speed: Speed,
        way: impl FnOnce(&Path) -> io::Result<PathBuf>,
        options: &[&str],
    ) -> Result<Self, ForwardingError> {
        let device = start_device(image, directory.path(), speed)?;
        let options: Vec<&str> = ["--device", "blk"].into_iter().chain(options.iter().copied()).collect();
        let program = program("isolation-host", Profile::Debug)?;
        let way = way(device.socket())?;
        let forwarder = start_forwarder(&program, directory.path(), &way, &options)?;
        let options = options.into_iter().map(str::to_owned).collect();
        Ok(Self { image: image.to_owned(), directory, device, way, forwarder, mebibytes, speed, options })
    }

    /// The disk as QEMU is told of it.
    #[must_use]
    pub fn as_device(&self) -> Device {
        Device::vhost_user("vhost-user-blk-pci", self.forwarder.socket())
            .with(&format!("num-queues={QUEUES}"))
    }

    /// Boots a guest that writes the whole disk, `depth` requests at a time, and checks it, `passes` times.
    ///
    /// # Errors
    /// If anything in it fails.
    pub fn load(
        &mut self,
        device: &Device,
        depth: u32,
        passes: u32,
    ) -> Result<guest::Report, ForwardingError> {
        self.load_while(device, depth, passes, |_| Ok(()))
    }

    /// The same, and does something whenever another few mebibytes are done.
    ///
    /// # Errors
    /// If anything in it fails, or what is done meanwhile.
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

    /// The guest that writes the disk, started but not waited for.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_load(&self, device: &Device, depth: u32, passes: u32) -> Result<Guest, ForwardingError> {
        Guest::boot(&GuestImage::prepared()?, device, &self.overlay(depth, passes)?)
            .map_err(|source| ForwardingError::Guest { source, log: String::new() })
    }

    /// A second device for the same image, and a second isolation-host in front of it.
    ///
    /// # Errors
    /// If either does not start.
    pub fn beside(&self, options: &[&str]) -> Result<Self, ForwardingError> {
        self.beside_by(direct, options)
    }

    /// The same, with something between the device and isolation-host.
    ///
    /// # Errors
    /// If anything does not start.
    pub fn beside_by(
        &self,
        way: impl FnOnce(&Path) -> io::Result<PathBuf>,
        options: &[&str],
    ) -> Result<Self, ForwardingError> {
        Self::start_on(&self.image, tempfile::tempdir()?, self.mebibytes, self.speed, way, options)
    }

    /// A QEMU that takes over that guest, now with this disk, and runs it to its end.
    ///
    /// # Errors
    /// If the guest cannot be moved, or fails afterwards.
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

    /// Kills the device, as a crash would, and starts it again.
    ///
    /// # Errors
    /// If it does not start.
    pub fn crash_device(&mut self) -> Result<(), ForwardingError> {
        self.device.kill()?;
        self.device = start_device(&self.image, self.directory.path(), self.speed)?;
        Ok(())
    }

    /// Kills isolation-host, as a crash would, and starts it again.
    ///
    /// # Errors
    /// If it does not start.
    pub fn crash_forwarder(&mut self) -> Result<(), ForwardingError> {
        self.forwarder.kill()?;
        let options: Vec<&str> = self.options.iter().map(String::as_str).collect();
        let program = program("isolation-host", Profile::Debug)?;
        self.forwarder = start_forwarder(&program, self.directory.path(), &self.way, &options)?;
        Ok(())
    }

    /// Checks the image file.
    ///
    /// # Errors
    /// If it is not as that pass of the load left it.
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

    /// The process of the device.
    #[must_use]
    pub fn device(&self) -> &Daemon {
        &self.device
    }

    /// Where isolation-host listens for a VMM.
    #[must_use]
    pub fn socket(&self) -> &Path {
        self.forwarder.socket()
    }

    /// What isolation-host has logged.
    pub fn log(&mut self) -> &[String] {
        self.forwarder.log()
    }

    fn overlay(&self, depth: u32, passes: u32) -> Result<Overlay, ForwardingError> {
        let script = format!("/disk-load /dev/vda {} {depth} {passes}", self.mebibytes);
        Ok(Overlay::script(&script).program("disk-load", &program("disk-load", Profile::Debug)?)?)
    }
}

/// The way to a device with nothing on it.
fn direct(device: &Path) -> io::Result<PathBuf> {
    Ok(device.to_owned())
}

/// isolation-host in front of the device at a socket, listening for a VMM in a directory.
///
/// # Errors
/// If it does not start.
pub fn start_forwarder(
    program: &Path,
    directory: &Path,
    device: &Path,
    options: &[&str],
) -> Result<Daemon, ForwardingError> {
    let socket = directory.join("vmm.sock");
    let mut arguments: Vec<OsString> = vec![
        "--vmm".into(),
        endpoint("listen", &socket),
        "--device-socket".into(),
        endpoint("connect", device),
    ];
    arguments.extend(options.iter().map(Into::into));
    Ok(Daemon::start_as_told(program, &socket, arguments)?)
}

/// qemu-storage-daemon, serving an image on a socket in a directory.
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
    Daemon::start_as_told(Path::new("qemu-storage-daemon"), &socket, arguments)
}

fn endpoint(kind: &str, path: &Path) -> OsString {
    let mut endpoint = OsString::from(format!("{kind}:"));
    endpoint.push(path);
    endpoint
}
