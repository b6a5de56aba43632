//! Writes a disk with concurrent requests of many sizes, and checks each sector.
//!
//! The program runs in a guest: `disk-load DISK MEBIBYTES DEPTH PASSES`. Requests bypass the page
//! cache, so the disk's driver sees each of them. A line of output reports each finished chunk.

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::process::ExitCode;
use std::thread;

use end_to_end::disk::{Content, SECTOR};
use rustix::fs::OFlags;

/// The size of the largest request.
const LARGEST: usize = 1 << 20;
/// The size of a huge page. A request inside a huge page is contiguous, so the kernel need not
/// split the request.
const HUGE_PAGE: usize = 2 << 20;
/// The sizes of a chunk's requests in sectors; their sum is 4 MiB. Checks use the reverse order.
const SIZES: [usize; 10] = [1, 2048, 8, 3, 1024, 64, 7, 2045, 2048, 944];

/// A task of the workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Write,
    Check,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("disk-load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [disk, mebibytes, depth, passes] = &arguments[..] else {
        return Err("usage: disk-load DISK MEBIBYTES DEPTH PASSES".into());
    };
    let (mebibytes, depth): (u64, u64) = (mebibytes.parse()?, depth.parse()?);
    let direct = i32::try_from(OFlags::DIRECT.bits())?;
    let disk = OpenOptions::new().read(true).write(true).custom_flags(direct).open(disk)?;
    for pass in 1..=passes.parse()? {
        for task in [Task::Write, Task::Check] {
            let load = Load { disk: &disk, content: Content { pass }, mebibytes, depth, task };
            thread::scope(|scope| {
                let workers: Vec<_> =
                    (0..depth).map(|worker| scope.spawn(move || load.work(worker))).collect();
                workers.into_iter().try_for_each(|worker| {
                    worker.join().unwrap_or_else(|_| Err(io::Error::other("a worker panicked")))
                })
            })?;
        }
    }
    println!("disk-load: {mebibytes} MiB are correct");
    Ok(())
}

/// The load that all workers share.
#[derive(Debug, Clone, Copy)]
struct Load<'d> {
    disk: &'d File,
    content: Content,
    mebibytes: u64,
    depth: u64,
    task: Task,
}

impl Load<'_> {
    /// Handles every `depth`th chunk of 4 MiB.
    fn work(self, worker: u64) -> io::Result<()> {
        let mut memory = vec![0; 2 * HUGE_PAGE];
        let aligned = memory.as_ptr().align_offset(HUGE_PAGE);
        let buffer = memory.get_mut(aligned..aligned + LARGEST).ok_or(io::ErrorKind::OutOfMemory)?;
        let mut sizes = SIZES;
        if self.task == Task::Check {
            sizes.reverse();
        }
        let chunk = SIZES.iter().map(|size| *size as u64).sum::<u64>();
        let chunks = self.mebibytes * (1 << 20) / SECTOR as u64 / chunk;
        let step = usize::try_from(self.depth).map_err(io::Error::other)?;
        for index in (worker..chunks).step_by(step) {
            let mut sector = index * chunk;
            for size in sizes {
                let piece = buffer.get_mut(..size * SECTOR).ok_or(io::ErrorKind::InvalidInput)?;
                self.request(sector, piece)?;
                sector += size as u64;
            }
            println!("disk-load: {:?} {index} of pass {} done", self.task, self.content.pass);
        }
        Ok(())
    }

    fn request(self, sector: u64, piece: &mut [u8]) -> io::Result<()> {
        let offset = sector * SECTOR as u64;
        match self.task {
            Task::Write => {
                self.content.fill(sector, piece);
                self.disk.write_all_at(piece, offset)
            }
            Task::Check => {
                self.disk.read_exact_at(piece, offset)?;
                self.content.check(sector, piece).map_err(|wrong| io::Error::other(wrong.to_string()))
            }
        }
    }
}
