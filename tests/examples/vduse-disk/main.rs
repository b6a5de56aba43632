//! A disk that is a vDPA device of the kernel, through VDUSE, with rings of either format.
//!
//! `vduse-disk NAME IMAGE POSITIONS QUEUES split|packed` creates the device NAME unless it exists.
//! The program can be killed at any time. When the program is started again, it continues at the
//! positions in the file POSITIONS, and carries out again at most one request of each queue.
//!
//! `vduse-disk needs-reset` sets NEEDS_RESET in the status of the running vDPA device that is its
//! standard input. VDUSE lets only the driver set the status. The disk of the device then carries
//! out no request, and reports the change of its status, until it is reset.

mod queue;
mod vduse;

use std::error::Error;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::ExitCode;

use queue::Queue;
use ring_core::Features;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use vduse::{Asked, Vduse};

/// The largest ring of a queue. Guests of the tests have larger ones.
const MAX_SIZE: u16 = 128;
/// The disk can flush, and has several queues.
const DISK: u64 = 1 << 9 | 1 << 12;
/// The status of a device that the driver has set up (VIRTIO 1.4, 2.1 "Device Status Field").
const RUNNING: u8 = 0xf;
const DRIVER_OK: u8 = 4;
const NEEDS_RESET: u8 = 64;
/// The time between two reports of a status. The kernel may store the status after the first
/// report.
const REPORTS: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vduse-disk: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments == ["needs-reset"] {
        return Ok(vduse::set_status(std::io::stdin(), RUNNING | NEEDS_RESET)?);
    }
    let [name, image, places, queues, format] = &arguments[..] else {
        return Err(
            "usage: vduse-disk NAME IMAGE POSITIONS QUEUES split|packed, or vduse-disk needs-reset with \
                    the open vDPA device as standard input"
                .into(),
        );
    };
    let (image, places) = (vduse::lasting_file(image)?, vduse::lasting_file(places)?);
    let queues: u32 = queues.parse()?;
    let new = !Path::new("/dev/vduse").join(name).exists();
    if new {
        let packed = if format == "packed" { Features::RING_PACKED } else { Features::empty() };
        let rings = Features::VERSION_1 | Features::ACCESS_PLATFORM | Features::EVENT_IDX | packed;
        let features = (rings | Features::INDIRECT_DESC).bits() | DISK;
        vduse::create(name, features, queues, config(image.metadata()?.len() / 512, queues))?;
    }
    let vduse = Vduse::open(name)?;
    if new {
        (0..queues).try_for_each(|index| vduse.set_up_queue(index, MAX_SIZE))?;
    }
    println!("vduse-disk: {name} is ready");
    Disk { vduse, image, places, count: queues, queues: Vec::new(), broken: false }.serve()
}

/// Returns a disk's configuration (VIRTIO 1.4, 5.2.4 "Device configuration layout").
fn config(sectors: u64, queues: u32) -> [u8; 40] {
    let mut config = [0; 40];
    config[..8].copy_from_slice(&sectors.to_le_bytes());
    config[20..24].copy_from_slice(&512u32.to_le_bytes());
    config[34] = u8::try_from(queues).unwrap_or(u8::MAX);
    config
}

struct Disk {
    vduse: Vduse,
    image: File,
    places: File,
    /// The number of queues of the device.
    count: u32,
    /// The running queues.
    queues: Vec<Queue>,
    /// Whether the disk carries out no requests until it is reset.
    broken: bool,
}

impl Disk {
    fn serve(mut self) -> Result<(), Box<dyn Error>> {
        // After a kill, the driver does not start the queues again.
        self.start()?;
        loop {
            let served = if self.broken { &[][..] } else { &self.queues };
            let fds = [self.vduse.as_fd()].into_iter().chain(served.iter().map(|queue| queue.kick.as_fd()));
            let mut fds: Vec<_> = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
            poll(&mut fds, self.broken.then_some(&REPORTS))?;
            while let Some((number, asked)) = self.vduse.asked()? {
                self.handle(number, asked)?;
            }
            if self.broken {
                self.vduse.report_change()?;
            } else {
                self.run()?;
            }
        }
    }

    fn handle(&mut self, number: u32, asked: Asked) -> Result<(), Box<dyn Error>> {
        match asked {
            Asked::Status(0) => {
                self.queues.clear();
                self.broken = false;
                self.places.set_len(0)?;
                Ok(self.vduse.answer(number)?)
            }
            Asked::Status(status) if status & DRIVER_OK != 0 && self.queues.is_empty() => {
                // Until the kernel has the answer, it refuses to notify the driver.
                self.vduse.answer(number)?;
                self.start()
            }
            Asked::Status(status) if status & NEEDS_RESET != 0 => {
                self.broken = true;
                Ok(self.vduse.answer(number)?)
            }
            Asked::Status(_) | Asked::Mapping => Ok(self.vduse.answer(number)?),
            Asked::QueueState(index) => Err(format!("the position of queue {index} is not known").into()),
            Asked::Unknown(number) => Err(format!("the kernel asks for {number}").into()),
        }
    }

    fn start(&mut self) -> Result<(), Box<dyn Error>> {
        let features = self.vduse.features()?;
        for index in 0..self.count {
            let info = self.vduse.queue(index)?;
            if info.ready != 0 {
                println!("vduse-disk: queue {index} has {} descriptors, features {features:#x}", info.size);
                self.queues.push(Queue::start(&self.vduse, index, info, features, &self.places)?);
            }
        }
        self.run()
    }

    fn run(&mut self) -> Result<(), Box<dyn Error>> {
        self.queues.iter_mut().try_for_each(|queue| queue.run(&self.vduse, &self.image, &self.places))
    }
}
