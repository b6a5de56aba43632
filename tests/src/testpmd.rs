//! DPDK's testpmd: one process with a network card and a network driver that exchange packets.
//!
//! The card is a vhost-user device, and the driver is a vhost-user front-end with its own memory.
//! To a proxy between them, they are a device and a VMM. Card and driver share one processor, so
//! the proxy has the other processor for itself.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::artifacts::{ArtifactError, Dpdk};
use crate::playback::Ring;
use crate::process::{Process, ProcessError};

/// The time within which a command has to be executed.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
/// A circulation has failed if no packet arrives at one of the ports for this time.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// The interval at which the counters and the link are polled. testpmd reports no changes.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The number of bytes before the data of each buffer, which DPDK keeps free.
const HEADROOM: u32 = 128;
/// A comment after each command. testpmd echoes the comment once the command is executed.
const END: &str = "# end of";

/// A running testpmd.
#[derive(Debug)]
pub struct Testpmd {
    process: Process,
    packet: Packet,
}

/// The form of the packets that circulate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// The number of segments in which the first packets are sent.
    segments: u32,
    /// The number of bytes in a segment.
    segment: u32,
    /// The number of bytes of data that a receive buffer holds.
    buffer: u32,
    /// The number of descriptors of each ring.
    descriptors: u32,
    /// The number of bursts of 32 packets that circulate in each direction.
    ///
    /// testpmd drops packets that do not fit into a ring. isolation-host may forward a packet three
    /// times before it returns the descriptors of the first time, so a ring has room for four times
    /// the number of packets. A packet takes one descriptor, or, with several segments, one
    /// descriptor for each segment and one for the header.
    bursts: u32,
}

/// Packets and their bytes, counted by a port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// The number of packets.
    pub packets: u64,
    /// The sum of their lengths.
    pub bytes: u64,
}

/// The counters of one port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Port {
    /// The packets that the port has received from the other port.
    pub received: Traffic,
    /// The packets that the port has sent to the other port.
    pub sent: Traffic,
}

/// The result of a circulation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Circulation {
    /// The network card's counters after the last packet has arrived.
    pub card: Port,
    /// The driver's counters.
    pub driver: Port,
    /// The number of packets that were dropped because a ring was full.
    pub dropped: u64,
    /// The duration of the circulation.
    pub time: Duration,
}

/// An error of testpmd.
#[derive(Debug, Error)]
pub enum TestpmdError {
    /// The process failed.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// testpmd is missing.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// testpmd has ended.
    #[error("testpmd has ended; its log:\n{tail}")]
    Ended {
        /// The last lines of its log.
        tail: String,
    },
    /// The card's link stayed down.
    #[error("the link of testpmd's card did not come up after the driver was added")]
    Down,
    /// A command failed.
    #[error("testpmd answers {command:?} with:\n{answer}")]
    Answer {
        /// The command.
        command: String,
        /// testpmd's answer.
        answer: String,
    },
    /// The numbers of sent and received packets or bytes differ, or too few packets arrived.
    #[error("packets were lost, duplicated or changed in length: {circulation:?}")]
    Lost {
        /// The final counters.
        circulation: Circulation,
    },
}

impl Packet {
    /// The smallest Ethernet packet, in one buffer.
    pub const SMALL: Self = Self { segments: 1, segment: 64, buffer: 2048, descriptors: 1024, bursts: 8 };
    /// A packet of 4,000 bytes that spans eight mergeable buffers.
    ///
    /// DPDK 22.11 sends a packet of two to seven segments in an indirect table. In a packed ring,
    /// DPDK marks the header in that table as writable, so that the device has to reject the table.
    /// Eight is the smallest number of segments for which DPDK uses no table.
    pub const JUMBO: Self = Self { segments: 8, segment: 500, buffer: 500, descriptors: 4096, bursts: 3 };

    /// Returns the length of the packet.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.segments as u64 * self.segment as u64
    }
}

impl Circulation {
    /// Returns the number of packets at the port that has received fewer packets.
    const fn each_way(&self) -> u64 {
        let (card, driver) = (self.card.received.packets, self.driver.received.packets);
        if card < driver { card } else { driver }
    }

    fn all_arrived(&self) -> bool {
        self.card.received == self.driver.sent && self.driver.received == self.card.sent
    }
}

impl fmt::Display for Circulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { card, driver, dropped, time } = self;
        let rate = |packets: u64| packets as f64 / time.as_secs_f64() / 1e6;
        write!(
            f,
            "{} of {} packets to the card ({:.2} Mpps), {} of {} to the driver ({:.2} Mpps), {dropped} dropped",
            card.received.packets,
            driver.sent.packets,
            rate(card.received.packets),
            driver.received.packets,
            card.sent.packets,
            rate(driver.received.packets),
        )
    }
}

impl Testpmd {
    /// Starts testpmd for `packet` with a network card that listens for its driver on `socket`.
    ///
    /// # Errors
    /// Fails if testpmd does not start.
    pub fn start(socket: &Path, packet: Packet) -> Result<Self, TestpmdError> {
        let Packet { buffer, descriptors, .. } = packet;
        let mut card = OsString::from("net_vhost0,queues=1,iface=");
        card.push(socket);
        // testpmd buffers its output unless it writes to a terminal; stdbuf makes it write each
        // line.
        let Dpdk { program, libraries, drivers } = Dpdk::prepared()?;
        let mut search = OsString::from("LD_LIBRARY_PATH=");
        search.push(libraries);
        let mut arguments = vec![search, "stdbuf".into(), "-oL".into(), program.into()];
        arguments.extend(drivers.into_iter().flat_map(|drivers| ["-d".into(), drivers.into()]));
        arguments.extend(["--lcores", "0@0,1@0", "--no-pci", "--no-huge", "-m", "512"].map(OsString::from));
        arguments.extend(["--no-telemetry", "--single-file-segments"].map(OsString::from));
        arguments.push(format!("--file-prefix=test{}", std::process::id()).into());
        arguments.extend(["--vdev".into(), card]);
        // Another thread would print an event in the middle of a command's echo.
        arguments.extend(["--", "-i", "--mask-event", "all", "--nb-cores=1"].map(OsString::from));
        arguments.push("--total-num-mbufs=16384".into());
        let sizes = [("rxd", descriptors), ("txd", descriptors), ("mbuf-size", HEADROOM + buffer)];
        arguments.extend(sizes.map(|(name, size)| format!("--{name}={size}").into()));
        let mut testpmd = Self { process: Process::start_with_input("env", arguments)?, packet };
        testpmd.execute("set fwd io", "Set io packet forwarding mode")?;
        let segments = vec![packet.segment.to_string(); packet.segments as usize].join(",");
        testpmd.execute(&format!("set txpkts {segments}"), "")?;
        testpmd.execute("show config txpkts", &format!("Segment sizes: {segments}"))?;
        Ok(testpmd)
    }

    /// Adds a driver that connects to `socket`, and waits until the card's link is up.
    ///
    /// # Errors
    /// Fails if the driver cannot be added, or if the link stays down.
    pub fn connect_driver(&mut self, socket: &Path, ring: Ring) -> Result<(), TestpmdError> {
        let packed = u8::from(ring == Ring::Packed);
        let driver = format!(
            "port attach net_virtio_user0,path={},queues=1,queue_size={},packed_vq={packed},in_order=1,mrg_rxbuf=1",
            socket.display(),
            self.packet.descriptors
        );
        self.execute(&driver, "Now total ports is 2")?;
        // Without scattering, the driver rejects receive buffers that are smaller than a packet.
        self.execute("port config 1 rx_offload scatter on", "")?;
        self.execute("port start 1", "Done")?;
        let deadline = Instant::now() + COMMAND_TIMEOUT;
        let up = "Link status: up";
        while !self.execute("show port info 0", "Link status:")?.iter().any(|line| line.contains(up)) {
            if Instant::now() > deadline {
                return Err(TestpmdError::Down);
            }
            self.wait_to_poll()?;
        }
        Ok(())
    }

    /// Lets packets circulate until `packets` have arrived at each port, then waits for all packets
    /// in flight.
    ///
    /// # Errors
    /// Fails if a packet does not arrive, arrives twice or arrives with another length.
    pub fn circulate(&mut self, packets: u64) -> Result<Circulation, TestpmdError> {
        let start = Instant::now();
        self.execute(&format!("start tx_first {}", self.packet.bursts), "packet forwarding")?;
        let mut circulation = self.poll_counters()?;
        let mut arrival = Instant::now();
        while circulation.each_way() < packets && arrival.elapsed() < STALL_TIMEOUT {
            let before = circulation.each_way();
            circulation = self.poll_counters()?;
            if circulation.each_way() > before {
                arrival = Instant::now();
            }
        }
        let (time, before) = (start.elapsed(), circulation);
        let stopped = self.execute("stop", "TX-dropped")?;
        let dropped = stopped.iter().filter_map(|line| number_after(line, "TX-dropped:")).max();

        // From here on, both ports receive the packets in flight and send no packets.
        self.execute("set fwd rxonly", "Set rxonly packet forwarding mode")?;
        self.execute("start", "packet forwarding")?;
        let deadline = Instant::now() + COMMAND_TIMEOUT;
        while !circulation.all_arrived() && Instant::now() < deadline {
            circulation = self.poll_counters()?;
        }
        // A duplicate would have arrived by the next poll.
        circulation = Circulation { time, dropped: dropped.unwrap_or(0), ..self.poll_counters()? };
        if circulation.all_arrived() && before.each_way() >= packets {
            return Ok(circulation);
        }
        Err(TestpmdError::Lost { circulation })
    }

    /// Waits for the polling interval.
    fn wait_to_poll(&mut self) -> Result<(), TestpmdError> {
        match self.process.ended_by(Instant::now() + LOOK_EVERY)? {
            Some(_) => Err(TestpmdError::Ended { tail: self.process.tail() }),
            None => Ok(()),
        }
    }

    /// Waits for the polling interval and reads the counters.
    fn poll_counters(&mut self) -> Result<Circulation, TestpmdError> {
        self.wait_to_poll()?;
        let [card, driver] = [self.count(0)?, self.count(1)?];
        Ok(Circulation { card, driver, dropped: 0, time: Duration::ZERO })
    }

    fn count(&mut self, port: u8) -> Result<Port, TestpmdError> {
        let command = format!("show port stats {port}");
        let answer = self.execute(&command, "TX-packets:")?;
        let number = |name: &str| answer.iter().find_map(|line| number_after(line, name));
        let traffic = |packets: &str, bytes: &str| {
            number(packets).zip(number(bytes)).map(|(packets, bytes)| Traffic { packets, bytes })
        };
        match (traffic("RX-packets:", "RX-bytes:"), traffic("TX-packets:", "TX-bytes:")) {
            (Some(received), Some(sent)) => Ok(Port { received, sent }),
            _ => Err(TestpmdError::Answer { command, answer: answer.join("\n") }),
        }
    }

    /// Executes a command and returns the lines of its answer. `expected` has to occur in a line.
    fn execute(&mut self, command: &str, expected: &str) -> Result<Vec<String>, TestpmdError> {
        let deadline = Instant::now() + COMMAND_TIMEOUT;
        let end = format!("{END} {command}");
        self.process.write_line(command)?;
        self.process.write_line(&end)?;
        let mut answer = Vec::new();
        loop {
            let Some(line) = self.process.next_line(deadline)?.map(str::to_owned) else {
                return Err(TestpmdError::Ended { tail: self.process.tail() });
            };
            if line.contains(&end) {
                break;
            }
            answer.push(line);
        }
        if answer.iter().any(|line| line.contains(expected)) {
            return Ok(answer);
        }
        Err(TestpmdError::Answer { command: command.to_owned(), answer: answer.join("\n") })
    }

    /// Returns the log lines that testpmd has written so far.
    pub fn log(&mut self) -> &[String] {
        self.process.log()
    }
}

/// Returns the number that follows `name` in a line.
fn number_after(line: &str, name: &str) -> Option<u64> {
    line.split_once(name)?.1.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_their_names() {
        let line = "  TX-packets: 1343328        TX-dropped: 480           TX-total: 1343808";
        assert_eq!(number_after(line, "TX-dropped:"), Some(480));
        assert_eq!(number_after(line, "RX-dropped:"), None);
    }

    #[test]
    fn all_packets_have_arrived_when_each_port_has_what_the_other_sent() {
        let traffic = |packets| Traffic { packets, bytes: 64 * packets };
        let port = |received, sent| Port { received: traffic(received), sent: traffic(sent) };
        let circulation =
            |card, driver| Circulation { card, driver, dropped: 0, time: Duration::from_secs(1) };
        assert!(circulation(port(3, 5), port(5, 3)).all_arrived());
        assert!(!circulation(port(3, 5), port(5, 4)).all_arrived());
        assert!(!circulation(port(3, 5), port(6, 3)).all_arrived());

        let mut shortened = circulation(port(3, 5), port(5, 3));
        shortened.card.received.bytes -= 1;
        assert!(!shortened.all_arrived());
    }
}
