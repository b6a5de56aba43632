//! One isolation-host with a guest and a disk. Its parts are killed at random.

use std::fmt;
use std::fs::File;
use std::time::{Duration, Instant};

use proptest::test_runner::TestRng;
use ring_core::{Arm, Features};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::below;
use crate::disk::DiskProcess;
use crate::load::{Load, Tally};
use crate::support::guest::{Queue, TestGuest};
use crate::support::{Host, TIMEOUT};

const QUEUES: u32 = 2;

/// How often each part was killed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kills {
    /// The number of events. An event kills one or more parts.
    pub(crate) events: u32,
    device: u32,
    proxy: u32,
    vmm: u32,
}

impl Kills {
    pub(crate) fn add(&mut self, other: &Self) {
        let Self { events, device, proxy, vmm } = other;
        self.events += events;
        self.device += device;
        self.proxy += proxy;
        self.vmm += vmm;
    }
}

impl fmt::Display for Kills {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, proxy, vmm, .. } = self;
        let all = device + proxy + vmm;
        write!(
            f,
            "{all} kills ({device} of the device, {proxy} of isolation-host, {vmm} of the VMM's connection)"
        )
    }
}

pub(crate) struct Session {
    disk: DiskProcess,
    host: Host,
    guest: TestGuest,
    queues: Vec<Queue>,
    loads: Vec<Load>,
    pub(crate) kills: Kills,
}

impl Session {
    /// Starts all parts. `formats` says whether the guest and the disk use packed rings.
    pub(crate) fn start((guest_packed, disk_packed): (bool, bool)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("disk");
        File::create(&file).unwrap().set_len(Load::DISK * u64::from(QUEUES)).unwrap();
        let disk = DiskProcess::start(&directory.path().join("device.sock"), &file, disk_packed);
        let host = Host::start(directory, &["--device", "blk"]);
        let packed = if guest_packed { Features::RING_PACKED } else { Features::empty() };
        let mut guest = TestGuest::new(host.connect(), packed | Features::EVENT_IDX);
        guest.keep_journal();
        let queues = (0..QUEUES).map(|index| guest.start(index)).collect();
        let loads = (0..QUEUES).map(Load::new).collect();
        Self { disk, host, guest, queues, loads, kills: Kills::default() }
    }

    /// Kills `events` times. In between, there is load for up to `calm`, or the load ends and all
    /// requests come back. Both happen in a random order. Stops at the first fault.
    pub(crate) fn rage(&mut self, random: &mut TestRng, events: u32, calm: Duration) {
        let micros = u64::try_from(calm.as_micros()).unwrap();
        while self.kills.events < events && self.tally().faults() == 0 {
            match below(random, 4) {
                0 => self.strike(random),
                1 => self.settle(),
                _ => {
                    let time = Duration::from_micros(below(random, micros));
                    self.load(random, time);
                }
            }
        }
    }

    /// Makes requests for a time, without waiting for the last ones.
    fn load(&mut self, random: &mut TestRng, time: Duration) {
        let end = Instant::now() + time;
        (0..self.queues.len()).for_each(|index| self.make_requests(index, random));
        while Instant::now() < end {
            for index in self.notified(end) {
                self.reap(index);
                self.make_requests(index, random);
            }
        }
    }

    /// Waits for all requests, without making others. Those that do not come back are lost, be it
    /// because of a lost notification.
    pub(crate) fn settle(&mut self) {
        let mut deadline = Instant::now() + TIMEOUT;
        while !self.loads.iter().all(Load::is_idle) && Instant::now() < deadline {
            for index in self.notified(deadline) {
                if self.reap(index) > 0 {
                    deadline = Instant::now() + TIMEOUT;
                }
            }
        }
        if !self.loads.iter().all(Load::is_idle) {
            println!("{}", self.host.new_lines().join("\n"));
        }
        self.loads.iter_mut().for_each(Load::give_up);
    }

    pub(crate) fn tally(&self) -> Tally {
        let mut all = Tally::default();
        self.loads.iter().for_each(|load| all.add(&load.tally));
        all
    }

    /// Waits until isolation-host notifies the guest, or the deadline. Returns the queues that were
    /// notified.
    fn notified(&self, deadline: Instant) -> Vec<usize> {
        let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now())).unwrap();
        let mut fds: Vec<_> = self.guest.calls.iter().map(|call| PollFd::new(call, PollFlags::IN)).collect();
        poll(&mut fds, Some(&left)).unwrap();
        (0..self.queues.len()).filter(|index| self.guest.take_call(*index)).collect()
    }

    /// Makes a request for each free slot of a queue. Like a driver, notifies isolation-host only
    /// if that is needed.
    fn make_requests(&mut self, index: usize, random: &mut TestRng) {
        let queue = &mut self.queues[index];
        self.loads[index].make_requests(&self.guest, queue, random);
        if queue.publish().is_needed() {
            self.guest.kick(u32::try_from(index).unwrap());
        }
    }

    /// Takes back what isolation-host has returned on a queue, until the next notification. Returns
    /// the number of requests.
    fn reap(&mut self, index: usize) -> usize {
        let (load, queue) = (&mut self.loads[index], &mut self.queues[index]);
        let mut count = load.reap(&self.guest, queue);
        while load.tally.doubled == 0 && queue.arm() == Arm::Pending {
            count += load.reap(&self.guest, queue);
        }
        count
    }

    /// Kills one or more parts, and starts them again.
    fn strike(&mut self, random: &mut TestRng) {
        self.kills.events += 1;
        let (mut device, proxy, vmm) = (below(random, 2) == 0, below(random, 3) == 0, below(random, 3) == 0);
        device |= !proxy && !vmm;
        if device {
            self.disk.kill();
            self.kills.device += 1;
        }
        if vmm {
            self.guest.disconnect();
            self.kills.vmm += 1;
        }
        if proxy {
            self.host.restart();
            self.kills.proxy += 1;
        }
        if device {
            self.disk.restart();
        }
        if proxy || vmm {
            self.reconnect();
        }
    }

    /// Connects the VMM again. The VMM gives the guest the notifications that it has received.
    fn reconnect(&mut self) {
        let notified: Vec<bool> = (0..self.queues.len()).map(|index| self.guest.take_call(index)).collect();
        self.guest.reconnect(self.host.connect());
        for (index, notified) in (0..).zip(notified) {
            self.guest.start_at(index, self.guest.base_after_a_crash(index));
            if notified {
                self.guest.call(index);
            }
        }
    }
}
