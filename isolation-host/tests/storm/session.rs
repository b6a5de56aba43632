//! One isolation-host with a guest and a disk. Its parts are killed at random.

use std::fmt;
use std::fs::File;
use std::thread::sleep;
use std::time::{Duration, Instant};

use proptest::test_runner::TestRng;
use ring_core::Features;

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

    /// Kills `events` times under load, with up to `calm` between two events.
    pub(crate) fn rage(&mut self, random: &mut TestRng, events: u32, calm: Duration) {
        let (mut next, mut progress) = (Instant::now(), Instant::now());
        while self.kills.events < events && progress.elapsed() < TIMEOUT {
            for (load, queue) in self.loads.iter_mut().zip(&mut self.queues) {
                load.make_requests(&self.guest, queue, random);
            }
            if self.step() > 0 {
                progress = Instant::now();
            }
            if Instant::now() >= next {
                self.strike(random);
                let micros = u64::try_from(calm.as_micros()).unwrap();
                next = Instant::now() + Duration::from_micros(below(random, micros));
            }
        }
    }

    /// Waits for all requests. Those that do not come back are lost.
    pub(crate) fn settle(&mut self) {
        let mut progress = Instant::now();
        while !self.loads.iter().all(Load::is_idle) && progress.elapsed() < TIMEOUT {
            if self.step() > 0 {
                progress = Instant::now();
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

    /// Notifies isolation-host and takes back what it has returned. Returns the number of requests.
    fn step(&mut self) -> usize {
        let mut count = 0;
        for (index, (load, queue)) in (0..).zip(self.loads.iter_mut().zip(&mut self.queues)) {
            self.guest.publish(index, queue);
            count += load.reap(&self.guest, queue);
        }
        if count == 0 {
            sleep(Duration::from_micros(100));
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
            self.guest.reconnect(self.host.connect());
            for index in 0..QUEUES {
                self.guest.start_at(index, self.guest.base_after_a_crash(index));
            }
        }
    }
}
