//! The guest: its queues, their requests, and what its VMM does meanwhile.

use std::error::Error;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::Duration;

use ring_core::{Arm, Features};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::load::{Load, SECTORS};
use crate::migration::Migration;
use crate::vmm::{Queue, TIMEOUT, Vmm};

pub(crate) struct Guest {
    vmm: Vmm,
    /// The started queues.
    queues: Vec<Queue>,
    /// The load of each queue, whether it is started or not.
    loads: Vec<Load>,
    socket: String,
    reconnections: u32,
}

impl Guest {
    /// Starts the first `started` of `count` queues.
    pub(crate) fn start(
        socket: &str,
        features: Features,
        count: u32,
        started: u32,
    ) -> Result<Self, Box<dyn Error>> {
        let mut vmm = Vmm::new(Path::new(socket), features, u16::try_from(count)?)?;
        let queues = vmm.start(0..started)?;
        let loads = (0..count).map(|index| Load::new(index, Vmm::data(index))).collect();
        Ok(Self { vmm, queues, loads, socket: socket.to_owned(), reconnections: 0 })
    }

    pub(crate) fn completed(&self) -> u64 {
        self.loads.iter().map(|load| load.done).sum()
    }

    pub(crate) const fn reconnections(&self) -> u32 {
        self.reconnections
    }

    /// Makes requests until `is_enough` returns true for the number of completed requests. Further
    /// requests may then be in flight.
    pub(crate) fn load(&mut self, is_enough: impl Fn(u64) -> bool) -> Result<(), Box<dyn Error>> {
        while !is_enough(self.completed()) {
            self.submit()?;
            self.wait()?;
            self.report()?;
        }
        Ok(())
    }

    /// Makes at least this number of further requests.
    pub(crate) fn load_more(&mut self, requests: u64) -> Result<(), Box<dyn Error>> {
        let enough = self.completed() + requests;
        self.load(|completed| completed >= enough)
    }

    /// Adds as many requests as the queues may have.
    fn submit(&mut self) -> Result<(), Box<dyn Error>> {
        for (load, queue) in self.loads.iter_mut().zip(&mut self.queues) {
            if load.add(&self.vmm.ram, &mut queue.ring)? {
                let _ = queue.ring.publish();
                rustix::io::write(&queue.kick, &1u64.to_ne_bytes())?;
            }
        }
        Ok(())
    }

    /// Waits until no request is in flight.
    pub(crate) fn drain(&mut self) -> Result<(), Box<dyn Error>> {
        while self.loads.iter().any(|load| load.in_flight() > 0) {
            self.wait()?;
        }
        Ok(())
    }

    /// Writes the number of completed requests to a file, which always has a number.
    fn report(&self) -> Result<(), Box<dyn Error>> {
        let new = format!("{}.new", self.socket);
        std::fs::write(&new, self.completed().to_string())?;
        Ok(std::fs::rename(new, format!("{}.done", self.socket))?)
    }

    /// Tells the test by a file how far the program is.
    fn signal(&self, name: &str) -> Result<(), Box<dyn Error>> {
        Ok(std::fs::write(format!("{}.{name}", self.socket), "")?)
    }

    /// Tells the test that no request is in flight, and waits until the test lets it continue.
    fn wait_for_go(&self) -> Result<(), Box<dyn Error>> {
        self.signal("idle")?;
        while !Path::new(&format!("{}.go", self.socket)).exists() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Starts the last queue after the others have got requests.
    pub(crate) fn start_late(&mut self) -> Result<(), Box<dyn Error>> {
        self.drain()?;
        self.wait_for_go()?;
        self.submit()?;
        let index = u32::try_from(self.queues.len())?;
        self.queues.extend(self.vmm.start(index..index + 1)?);
        self.signal("late")
    }

    /// Stops all queues. Returns where they were stopped.
    fn stop(&mut self) -> Result<Vec<u32>, Box<dyn Error>> {
        (0..u32::try_from(self.queues.len())?).map(|index| self.vmm.stop(index)).collect()
    }

    /// Stops all queues and starts them where they were stopped, as a VMM does for a pause.
    pub(crate) fn pause(&mut self, waits: bool) -> Result<(), Box<dyn Error>> {
        if waits {
            self.wait_for_go()?;
        }
        let bases = self.stop()?;
        if waits {
            self.signal("paused")?;
        }
        self.vmm.resume(&mut self.queues, &bases)
    }

    /// Migrates to the isolation-host at `socket`, after `requests` have completed with each of two
    /// logs.
    pub(crate) fn migrate(&mut self, socket: &Path, requests: u64) -> Result<(), Box<dyn Error>> {
        let mut migration = Migration::start(&mut self.vmm)?;
        self.loads.iter_mut().for_each(Load::begin_log);
        self.load_more(requests)?;
        migration.next_round(&mut self.vmm)?;
        self.load_more(requests)?;
        self.submit()?;
        let in_flight: usize = self.loads.iter().map(Load::in_flight).sum();
        let bases = self.stop()?;
        let written = self.loads.iter().flat_map(Load::written).collect();
        let pages = migration.finish(&self.vmm, u32::try_from(bases.len())?, written)?;
        println!("vhost-load: {pages} pages were logged, and {in_flight} requests were in flight");
        self.vmm.move_to(socket, &mut self.queues, &bases)
    }

    /// Reads all sectors.
    pub(crate) fn check(&mut self) -> Result<(), Box<dyn Error>> {
        const COUNT: u64 = 64;
        for first in (0..SECTORS / COUNT).map(|part| part * COUNT) {
            for (load, queue) in self.loads.iter_mut().zip(&mut self.queues) {
                load.read(&self.vmm.ram, &mut queue.ring, first, COUNT)?;
                let _ = queue.ring.publish();
                rustix::io::write(&queue.kick, &1u64.to_ne_bytes())?;
            }
            self.drain()?;
        }
        Ok(())
    }

    /// Waits until a request has come back, on any queue. Reconnects if the back-end is gone.
    fn wait(&mut self) -> Result<(), Box<dyn Error>> {
        loop {
            let mut count = 0;
            let mut pending = false;
            for (load, queue) in self.loads.iter_mut().zip(&mut self.queues) {
                count += load.reap(&self.vmm.ram, &mut queue.ring)?;
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
        format!("no request comes back; in flight are {held:?} after {} requests", self.completed()).into()
    }
}
