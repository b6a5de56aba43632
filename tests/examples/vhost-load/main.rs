//! A VMM with a guest that writes and reads a disk, and compares each sector that it reads.
//!
//! `vhost-load SOCKET QUEUES split|packed REQUESTS [STOP]` makes at least this number of requests,
//! and continues until the file STOP exists. Then it pauses the queues, and reads all sectors. The
//! program reconnects if isolation-host is gone, and writes the number of completed requests to the
//! file SOCKET.done. If STOP is the word `pause`, the program makes SOCKET.idle, and pauses when
//! SOCKET.go exists; then it makes SOCKET.paused.

mod load;
mod vmm;

use std::error::Error;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use load::{Load, SECTORS};
use ring_core::{Arm, Features};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use vmm::{Queue, TIMEOUT, Vmm};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("vhost-load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [socket, queues, format, requests, stop @ ..] = &arguments[..] else {
        return Err("usage: vhost-load SOCKET QUEUES split|packed REQUESTS [STOP]".into());
    };
    let (count, requests): (u32, u64) = (queues.parse()?, requests.parse()?);
    let packed = if format == "packed" { Features::RING_PACKED } else { Features::empty() };
    let features = Features::VERSION_1 | Features::EVENT_IDX | packed;
    let mut vmm = Vmm::new(Path::new(socket), features, u16::try_from(count)?)?;
    let queues = vmm.start(count)?;
    let stop = stop.first().map(String::as_str);
    let loads = (0..count).map(|index| Load::new(index, Vmm::data(index))).collect();
    let mut guest = Guest { vmm, queues, loads, socket: socket.clone(), reconnections: 0 };
    let waits = stop == Some("pause");
    guest.load(|done| done >= requests && (waits || stop.is_none_or(|file| Path::new(file).exists())))?;
    guest.pause(waits)?;
    guest.check()?;
    let (done, reconnections) = (guest.done(), guest.reconnections);
    println!("vhost-load: {done} requests and all sectors are correct, {reconnections} reconnections");
    Ok(())
}

struct Guest {
    vmm: Vmm,
    queues: Vec<Queue>,
    loads: Vec<Load>,
    socket: String,
    reconnections: u32,
}

impl Guest {
    fn done(&self) -> u64 {
        self.loads.iter().map(|load| load.done).sum()
    }

    /// Makes requests until `is_enough` of the number of completed ones.
    fn load(&mut self, is_enough: impl Fn(u64) -> bool) -> Result<(), Box<dyn Error>> {
        while !is_enough(self.done()) {
            for (load, queue) in self.loads.iter_mut().zip(&mut self.queues) {
                if load.add(&self.vmm.memory, &mut queue.ring)? {
                    let _ = queue.ring.publish();
                    rustix::io::write(&queue.kick, &1u64.to_ne_bytes())?;
                }
            }
            self.wait()?;
            self.report()?;
        }
        while self.loads.iter().any(|load| load.in_flight() > 0) {
            self.wait()?;
        }
        Ok(())
    }

    /// Writes the number of completed requests to a file, which always has a number.
    fn report(&self) -> Result<(), Box<dyn Error>> {
        let new = format!("{}.new", self.socket);
        std::fs::write(&new, self.done().to_string())?;
        Ok(std::fs::rename(new, format!("{}.done", self.socket))?)
    }

    /// Stops all queues and starts them where they were stopped, as a VMM does for a pause.
    fn pause(&mut self, waits: bool) -> Result<(), Box<dyn Error>> {
        let count = u32::try_from(self.queues.len())?;
        if waits {
            std::fs::write(format!("{}.idle", self.socket), "")?;
            while !Path::new(&format!("{}.go", self.socket)).exists() {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        let bases = (0..count).map(|index| self.vmm.stop(index)).collect::<Result<Vec<_>, _>>()?;
        if waits {
            std::fs::write(format!("{}.paused", self.socket), "")?;
        }
        self.vmm.resume(&mut self.queues, &bases)
    }

    /// Reads all sectors.
    fn check(&mut self) -> Result<(), Box<dyn Error>> {
        const COUNT: u64 = 64;
        for first in (0..SECTORS / COUNT).map(|part| part * COUNT) {
            for (load, queue) in self.loads.iter_mut().zip(&mut self.queues) {
                load.read(&self.vmm.memory, &mut queue.ring, first, COUNT)?;
                let _ = queue.ring.publish();
                rustix::io::write(&queue.kick, &1u64.to_ne_bytes())?;
            }
            while self.loads.iter().any(|load| load.in_flight() > 0) {
                self.wait()?;
            }
        }
        Ok(())
    }

    /// Waits until a request has come back, on any queue. Reconnects if the back-end is gone.
    fn wait(&mut self) -> Result<(), Box<dyn Error>> {
        loop {
            let mut count = 0;
            let mut pending = false;
            for (load, queue) in self.loads.iter_mut().zip(&mut self.queues) {
                count += load.reap(&self.vmm.memory, &mut queue.ring)?;
                pending |= queue.ring.arm() == Arm::Pending;
            }
            if count > 0 {
                return Ok(());
            }
            if pending {
                continue;
            }
            let channel = [self.vmm.channel.as_fd()];
            let fds = channel.into_iter().chain(self.queues.iter().map(|queue| queue.call.as_fd()));
            let mut fds: Vec<_> = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
            if poll(&mut fds, Some(&Timespec::try_from(TIMEOUT)?))? == 0 {
                return Err(self.overdue());
            }
            let gone = !fds[0].revents().is_empty();
            for queue in &self.queues {
                let _ = rustix::io::read(&queue.call, &mut [0; 8]);
            }
            if gone {
                self.vmm.reconnect(&mut self.queues)?;
                self.reconnections += 1;
            }
        }
    }

    fn overdue(&self) -> Box<dyn Error> {
        let held: Vec<usize> = self.loads.iter().map(Load::in_flight).collect();
        format!("no request comes back; in flight are {held:?} after {} requests", self.done()).into()
    }
}
