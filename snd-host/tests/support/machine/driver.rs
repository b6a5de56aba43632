//! The guest's driver: buffers that it adds to the queues, and buffers that are returned.

use std::os::fd::AsRawFd as _;
use std::time::Instant;

use ring_core::driver::Used;
use ring_core::memory::Memory;
use ring_core::{Arm, Segment};
use snd_host::spec::{CONTROL_QUEUE, QUEUES, RX_QUEUE, TX_QUEUE, request};
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};

use super::super::{BYTES, DEADLINE, FRAMES, OK, counting, set_params_of, status_of, words};
use super::{Guest, MEMORY_END, QUEUE_BYTES, QUEUE_SIZE};

/// The number of bytes of guest memory for each message.
const MESSAGE_BYTES: u64 = 16 << 10;

/// A message to play, after the device has returned it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Played {
    pub(crate) status: u32,
    pub(crate) latency_bytes: u32,
    pub(crate) written: u32,
}

/// A message for recorded audio, after the device has returned it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) status: u32,
    pub(crate) latency_bytes: u32,
    pub(crate) audio: Vec<u8>,
}

impl Guest {
    /// Returns the address of memory for a message. No message in flight uses this memory.
    pub(crate) fn allocate(&mut self) -> u64 {
        let capacity = (MEMORY_END - QUEUES as u64 * QUEUE_BYTES) / MESSAGE_BYTES;
        assert!(capacity >= QUEUES as u64 * u64::from(QUEUE_SIZE));
        self.messages += 1;
        QUEUES as u64 * QUEUE_BYTES + self.messages % capacity * MESSAGE_BYTES
    }

    /// Adds a buffer and notifies the device if the device wants that.
    pub(crate) fn add(&mut self, queue: usize, readable: &[Segment], writable: &[Segment], cookie: u64) {
        let queue = &mut self.queues[queue];
        queue.driver.add(readable, writable, cookie).unwrap();
        if queue.driver.publish().is_needed() {
            queue.kick.write(1).unwrap();
        }
    }

    /// Adds a buffer through an indirect table, and notifies the device if the device wants that.
    pub(crate) fn add_indirect(
        &mut self,
        queue: usize,
        table: Segment,
        readable: &[Segment],
        writable: &[Segment],
        cookie: u64,
    ) {
        let queue = &mut self.queues[queue];
        queue.driver.add_indirect(table, readable, writable, cookie).unwrap();
        if queue.driver.publish().is_needed() {
            queue.kick.write(1).unwrap();
        }
    }

    /// Returns the number of buffers that the device has not returned.
    pub(crate) fn in_flight(&self, queue: usize) -> u16 {
        self.queues[queue].driver.in_flight()
    }

    /// Notifies the device, even if the device has suppressed notifications.
    pub(crate) fn kick(&self, queue: usize) {
        self.queues[queue].kick.write(1).unwrap();
    }

    /// Waits until the device has read the kick.
    pub(crate) fn wait_until_kick_is_read(&self, queue: usize) {
        let unread = Epoll::new().unwrap();
        let wanted = EpollEvent::new(EventSet::IN, 0);
        unread.ctl(ControlOperation::Add, self.queues[queue].kick.as_raw_fd(), wanted).unwrap();
        let deadline = Instant::now() + DEADLINE;
        while unread.wait(0, &mut [EpollEvent::default()]).unwrap() > 0 {
            assert!(Instant::now() < deadline, "the kick has not been read within {DEADLINE:?}");
            std::thread::yield_now();
        }
    }

    /// Notifies the device, and reads the kick back after `spins` turns of a loop unless the device
    /// has read it by then.
    pub(crate) fn kick_and_take_back(&self, queue: usize, spins: u64) {
        self.kick(queue);
        (0..spins).for_each(|_| std::hint::spin_loop());
        // Fails if the device has read the kick.
        let _ = self.queues[queue].kick.read();
    }

    /// Waits until the device returns a buffer.
    pub(crate) fn wait(&mut self, queue: usize) -> Used<u64> {
        let queue = &mut self.queues[queue];
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(used) = queue.driver.reap().unwrap() {
                return used;
            }
            if queue.driver.arm() == Arm::Armed {
                let left = deadline.saturating_duration_since(Instant::now());
                let timeout = i32::try_from(left.as_millis()).unwrap();
                let ready = queue.called.wait(timeout, &mut [EpollEvent::default()]).unwrap();
                assert!(ready > 0, "no buffer has come back within {DEADLINE:?}");
                queue.call.read().unwrap();
            }
        }
    }

    /// Returns whether the device has returned a buffer that was not taken yet.
    pub(crate) fn has_returned(&mut self, queue: usize) -> bool {
        self.queues[queue].driver.arm() == Arm::Pending
    }

    /// Sends a control request with `room` bytes for the answer, and returns the answer.
    pub(crate) fn request(&mut self, request: &[u8], room: u32) -> Vec<u8> {
        let address = self.allocate();
        let answer = address + MESSAGE_BYTES / 2;
        self.memory.write_bytes(address, request).unwrap();
        let readable = [Segment::new(address, u32::try_from(request.len()).unwrap())];
        let writable = [Segment::new(answer, room)];
        let readable = if request.is_empty() { &[][..] } else { &readable };
        let writable = if room == 0 { &[][..] } else { &writable };
        self.add(CONTROL_QUEUE, readable, writable, answer);
        let used = self.wait(CONTROL_QUEUE);
        assert_eq!(used.cookie, answer);
        let mut bytes = vec![0; used.written as usize];
        self.memory.read_bytes(answer, &mut bytes).unwrap();
        bytes
    }

    /// Sends a control request whose answer is a status, and returns the status.
    pub(crate) fn command(&mut self, request: &[u8]) -> u32 {
        status_of(&self.request(request, 4))
    }

    /// Sends a control request that has to succeed.
    pub(crate) fn must(&mut self, request: &[u8]) {
        assert_eq!(self.command(request), OK, "{request:x?}");
    }

    /// Prepares a stream with a buffer of `periods` periods.
    pub(crate) fn prepare(&mut self, stream: u32, periods: u32) {
        self.must(&set_params_of(stream, periods * BYTES, BYTES));
        self.must(&words(&[request::PCM_PREPARE, stream]));
    }

    /// Starts a stream.
    pub(crate) fn start(&mut self, stream: u32) {
        self.must(&words(&[request::PCM_START, stream]));
    }

    /// Stops and releases a stream.
    pub(crate) fn finish(&mut self, stream: u32) {
        self.must(&words(&[request::PCM_STOP, stream]));
        self.must(&words(&[request::PCM_RELEASE, stream]));
    }

    /// Releases a stream that is not running.
    pub(crate) fn release(&mut self, stream: u32) {
        self.must(&words(&[request::PCM_RELEASE, stream]));
    }

    /// Sends a message with audio to play.
    pub(crate) fn play(&mut self, stream: u32, audio: &[u8]) {
        let message = [&stream.to_le_bytes(), audio].concat();
        let address = self.allocate();
        assert!(message.len() as u64 <= MESSAGE_BYTES - 8);
        self.memory.write_bytes(address, &message).unwrap();
        let status = address + MESSAGE_BYTES - 8;
        self.memory.write_bytes(status, &[0xee; 8]).unwrap();
        // The first segment ends in the middle of the header, unlike those of real drivers.
        let head = 3;
        let tail = u32::try_from(message.len()).unwrap() - head;
        let readable = [Segment::new(address, head), Segment::new(address + u64::from(head), tail)];
        let writable = [Segment::new(status, 5), Segment::new(status + 5, 3)];
        self.add(TX_QUEUE, &readable, &writable, status);
    }

    /// Waits until the device returns a message to play.
    pub(crate) fn played(&mut self) -> Played {
        let Used { cookie, written, .. } = self.wait(TX_QUEUE);
        let mut bytes = [0; 8];
        self.memory.read_bytes(cookie, &mut bytes).unwrap();
        let [status, latency_bytes] =
            [0, 4].map(|at| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()));
        Played { status, latency_bytes, written }
    }

    /// Plays a period of 10 ms on stream 0 and waits for its end.
    pub(crate) fn play_period(&mut self) {
        self.play(0, &counting(0..FRAMES));
        assert_eq!(self.played().status, OK);
    }

    /// Sends a message with room for `bytes` bytes of recorded audio.
    pub(crate) fn record(&mut self, stream: u32, bytes: u32) {
        assert!(u64::from(bytes) + 64 <= MESSAGE_BYTES);
        let address = self.allocate();
        self.memory.write_bytes(address, &stream.to_le_bytes()).unwrap();
        let audio = address + 16;
        self.memory.write_bytes(audio, &vec![0xee; bytes as usize + 8]).unwrap();
        // The first segment ends in the middle of the status, unlike those of real drivers.
        let head = bytes + 3;
        let writable = [Segment::new(audio, head), Segment::new(audio + u64::from(head), 5)];
        self.add(RX_QUEUE, &[Segment::new(address, 4)], &writable, audio << 16 | u64::from(bytes));
    }

    /// Waits until the device returns a message for recorded audio.
    pub(crate) fn recorded(&mut self) -> Recorded {
        let Used { cookie, written, .. } = self.wait(RX_QUEUE);
        let (audio, bytes) = (cookie >> 16, cookie & 0xffff);
        let mut status = [0; 8];
        self.memory.read_bytes(audio + bytes, &mut status).unwrap();
        let [status, latency_bytes] =
            [0, 4].map(|at| u32::from_le_bytes(status[at..at + 4].try_into().unwrap()));
        let mut recorded = vec![0; (written - 8) as usize];
        self.memory.read_bytes(audio, &mut recorded).unwrap();
        Recorded { status, latency_bytes, audio: recorded }
    }

    /// Requests information on stream 0 and returns the answer.
    pub(crate) fn pcm_info(&mut self) -> Vec<u8> {
        self.request(&words(&[request::PCM_INFO, 0, 1, 32]), 36)
    }
}
