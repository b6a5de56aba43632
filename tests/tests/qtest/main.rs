//! Tests like QEMU's vhost-user-test, over the qtest protocol: no guest boots. Each test runs with
//! a device that QEMU uses directly, and with isolation-host between QEMU and the device.

mod machine;
mod spy;

use std::error::Error;
use std::fmt;
use std::fs::read_to_string;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use end_to_end::artifacts::{Profile, program};
use end_to_end::daemon::Daemon;
use end_to_end::forwarding::start_forwarder;
use machine::{Machine, RAM, TIMEOUT};
use spy::{FEATURES, Spy};
use tempfile::TempDir;

type Outcome<T> = Result<T, Box<dyn Error>>;

const CANARY: &[u8; 16] = b"a guest's secret";
/// The address of the canary. No request uses this memory.
const SECRET: u64 = 0x30_0000;

/// A type of device.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Blk,
    Net,
    Rng,
}

/// How QEMU reaches the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Direct,
    Through,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Direct { "direct" } else { "through" })
    }
}

const KINDS: [Kind; 3] = [Kind::Blk, Kind::Net, Kind::Rng];
const WAYS: [Way; 2] = [Way::Direct, Way::Through];

impl Kind {
    /// Returns QEMU's arguments for a device behind a socket.
    fn arguments(self, socket: &Path, queues: u8) -> Vec<String> {
        let chardev = format!("socket,id=c,path={},reconnect-ms=20", socket.display());
        let device: &[String] = match self {
            Self::Blk => &[format!("vhost-user-blk,chardev=c,num-queues={queues}")],
            Self::Net => {
                &["virtio-net-device,netdev=n".into(), "-netdev".into(), "vhost-user,id=n,chardev=c".into()]
            }
            Self::Rng => &["vhost-user-rng,chardev=c".into()],
        };
        let chardev =
            if matches!(self, Self::Rng) { chardev.replace(",reconnect-ms=20", "") } else { chardev };
        [&["-chardev".into(), chardev, "-device".into()][..], device].concat()
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Blk => "blk",
            Self::Net => "net",
            Self::Rng => "generic",
        }
    }

    /// Returns the queue of a request, the number of readable bytes, and the number of writable
    /// bytes.
    const fn request(self) -> (u8, usize, u32) {
        match self {
            Self::Blk => (0, 16, 16),
            Self::Net => (1, 64, 0),
            Self::Rng => (0, 0, 16),
        }
    }

    const fn queues(self) -> u64 {
        if matches!(self, Self::Net) { 2 } else { 1 }
    }
}

/// QEMU, and isolation-host if it is between QEMU and the device.
struct Bench {
    machine: Machine,
    forwarder: Option<Daemon>,
    _directory: TempDir,
}

/// Starts a device that runs the function `device`, and QEMU with that device.
fn start<T: Send + 'static>(
    (kind, way, queues): (Kind, Way, u8),
    backend: &str,
    device: impl FnOnce(UnixListener) -> T + Send + 'static,
) -> Outcome<(Bench, JoinHandle<T>)> {
    let directory = tempfile::tempdir()?;
    let socket = directory.path().join("device.sock");
    let listener = UnixListener::bind(&socket)?;
    let device = thread::spawn(move || device(listener));
    let forwarder = match way {
        Way::Direct => None,
        Way::Through => {
            let program = program("isolation-host", Profile::Debug)?;
            Some(start_forwarder(&program, directory.path(), &socket, &["--device", kind.name()])?)
        }
    };
    let socket = forwarder.as_ref().map_or(&*socket, Daemon::socket);
    let backend = backend.replace("DIRECTORY", &directory.path().display().to_string());
    let machine = Machine::start(directory.path(), &backend, &kind.arguments(socket, queues))?;
    Ok((Bench { machine, forwarder, _directory: directory }, device))
}

impl Bench {
    /// Makes a request and checks the answer.
    fn exchange(&mut self, kind: Kind, queue: Option<u8>) -> Outcome<()> {
        let (usual, readable, room) = kind.request();
        let queue = queue.unwrap_or(usual);
        let answer = self.machine.request(queue, &vec![0; readable], room)?;
        self.machine.wait(queue)?;
        let expected: Vec<u8> = (1..room).map(|_| b'a').chain((room > 0).then_some(0)).collect();
        if room > 0 {
            assert_eq!(self.machine.read(answer, usize::try_from(room)?)?, expected);
        }
        Ok(())
    }

    /// Returns whether an address leads to memory of QEMU, of isolation-host, or of the guest.
    fn leads_somewhere(&self, address: u64) -> Outcome<bool> {
        let processes = [Some(self.machine.process.id()), self.forwarder.as_ref().map(Daemon::id)];
        let mut mapped = address < RAM;
        for id in processes.into_iter().flatten() {
            let maps = read_to_string(format!("/proc/{id}/maps"))?;
            let ranges = maps.lines().filter_map(|line| line.split_once(' ')?.0.split_once('-'));
            for (start, end) in ranges {
                mapped |= (u64::from_str_radix(start, 16)?..u64::from_str_radix(end, 16)?).contains(&address);
            }
        }
        Ok(mapped)
    }
}

/// Serves until the peer has gone.
fn honest(listener: &UnixListener) -> Spy {
    let mut spy = Spy::accept(listener, FEATURES).expect("the front-end connects");
    spy.serve_until(|_| false);
    spy
}

/// Serves as [`honest`] does, and sends a message when the queue of `kind` is started.
fn successor(listener: &UnixListener, kind: Kind, started: &Sender<()>) -> Spy {
    let mut spy = Spy::accept(listener, FEATURES).expect("the front-end connects");
    if spy.serve_until_started(kind.request().0) {
        let _ = started.send(());
    }
    spy.serve_until(|_| false);
    spy
}

const MEMORIES: [&str; 3] =
    ["memory-backend-memfd", "memory-backend-shm", "memory-backend-file,mem-path=DIRECTORY/memory"];

#[test]
fn a_device_reads_guest_memory_directly_and_not_through_the_proxy() -> Outcome<()> {
    for (kind, way, memory) in KINDS.into_iter().flat_map(|kind| {
        WAYS.into_iter().flat_map(move |way| MEMORIES.into_iter().map(move |memory| (kind, way, memory)))
    }) {
        let (done, stop) = channel::<()>();
        let (mut bench, device) = start((kind, way, 1), memory, move |listener| {
            let mut spy = Spy::accept(&listener, FEATURES).expect("the front-end connects");
            spy.serve_until(|spy| !spy.requests.is_empty());
            // QEMU runs until the device has searched.
            let _ = stop.recv();
            (spy.files_with(CANARY), spy.files.len(), spy.addresses)
        })?;
        bench.machine.write(SECRET, CANARY)?;
        bench.machine.start_device(kind.queues())?;
        bench.exchange(kind, None)?;
        drop(done);
        let (found, files, addresses) = device.join().expect("the device ends well");
        let mut leading = 0;
        for address in &addresses {
            leading += usize::from(bench.leads_somewhere(*address)?);
        }
        println!(
            "read-guest-mem {kind:?} {memory} {way}: canary in {found} of {files} files, {leading} of {} \
             addresses lead to memory",
            addresses.len()
        );
        assert!(files > 0 && addresses.len() > 3);
        assert_eq!((found > 0, leading > 0), (way == Way::Direct, way == Way::Direct));
    }
    Ok(())
}

#[test]
fn a_device_may_disconnect_and_come_back() -> Outcome<()> {
    for (kind, way) in [Kind::Blk, Kind::Net].into_iter().flat_map(|kind| WAYS.map(|way| (kind, way))) {
        let (sender, started) = channel();
        let (mut bench, device) = start((kind, way, 1), MEMORIES[0], move |listener| {
            let mut first = Spy::accept(&listener, FEATURES).expect("the front-end connects");
            first.serve_until(|spy| !spy.requests.is_empty());
            drop(first);
            successor(&listener, kind, &sender).requests.len()
        })?;
        bench.machine.start_device(kind.queues())?;
        bench.exchange(kind, None)?;
        started.recv_timeout(TIMEOUT)?;
        bench.exchange(kind, None)?;
        drop(bench);
        println!("reconnect {kind:?} {way}: ok");
        assert_eq!(device.join().expect("the device ends well"), 1);
    }
    Ok(())
}

#[test]
fn a_device_may_hang_up_at_first() -> Outcome<()> {
    for (kind, way) in [Kind::Blk, Kind::Net].into_iter().flat_map(|kind| WAYS.map(|way| (kind, way))) {
        let (mut bench, device) = start((kind, way, 1), MEMORIES[0], |listener| {
            drop(listener.accept());
            honest(&listener).requests.len()
        })?;
        bench.machine.start_device(kind.queues())?;
        bench.exchange(kind, None)?;
        drop(bench);
        println!("connect-fail {kind:?} {way}: ok");
        assert_eq!(device.join().expect("the device ends well"), 1);
    }
    Ok(())
}

#[test]
fn a_device_without_the_features_of_its_predecessor_is_refused() -> Outcome<()> {
    for way in WAYS {
        let (sender, started) = channel();
        let (mut bench, device) = start((Kind::Net, way, 1), MEMORIES[0], move |listener| {
            let mut first = Spy::accept(&listener, FEATURES).expect("the front-end connects");
            first.serve_until(|spy| !spy.requests.is_empty());
            drop(first);
            let mut other = Spy::accept(&listener, 1 << 30).expect("the front-end connects");
            other.serve_until(|_| false);
            let refused = other.requests.is_empty();
            drop(other);
            (refused, successor(&listener, Kind::Net, &sender).requests.len())
        })?;
        bench.machine.start_device(2)?;
        bench.exchange(Kind::Net, None)?;
        started.recv_timeout(TIMEOUT)?;
        bench.exchange(Kind::Net, None)?;
        drop(bench);
        println!("flags-mismatch {way}: ok");
        assert_eq!(device.join().expect("the device ends well"), (true, 1));
    }
    Ok(())
}

#[test]
fn all_queues_are_served() -> Outcome<()> {
    for way in WAYS {
        let (mut bench, device) =
            start((Kind::Blk, way, 2), MEMORIES[0], |listener| honest(&listener).requests.len())?;
        bench.machine.start_device(2)?;
        for queue in [0, 1, 0, 1] {
            bench.exchange(Kind::Blk, Some(queue))?;
        }
        drop(bench);
        println!("multiqueue Blk {way}: ok");
        assert_eq!(device.join().expect("the device ends well"), 4);
    }
    Ok(())
}
