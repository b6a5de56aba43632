//! Both ends of one queue, driven step by step.

use ring_core::memory::Memory;
use ring_core::{Notify, Segment, Setup, Token};

use crate::{BUFFERS, HeapDeviceQueue, HeapDriverQueue, queues};

/// Both ends of one queue. All steps have to succeed.
#[derive(Debug)]
pub struct Pair<M: Memory> {
    /// The driver end. The cookies are numbers.
    pub driver: HeapDriverQueue<M, u32>,
    /// The device end.
    pub device: HeapDeviceQueue<M>,
}

impl<M: Memory + Clone> Pair<M> {
    /// Sets up both ends of a queue in the same memory.
    pub fn new(memory: &M, setup: &Setup) -> Self {
        let (driver, device) = queues(memory, setup);
        Self { driver, device }
    }

    /// Adds a buffer and publishes it.
    pub fn offer(&mut self, readable: &[Segment], writable: &[Segment], cookie: u32) -> Notify {
        self.driver.add(readable, writable, cookie).expect("the buffer fits");
        self.driver.publish()
    }

    /// Takes the next chain, of at most 32 segments.
    pub fn take(&mut self) -> Token {
        let mut segments = [Segment::default(); 32];
        self.device
            .pop(&mut segments)
            .expect("the chain is correct")
            .expect("a chain is available")
            .into_token()
    }

    /// Completes a chain and publishes it.
    pub fn finish(&mut self, token: Token, written: u32) -> Notify {
        self.device.complete(token, written).expect("the token is valid");
        self.device.publish()
    }

    /// Takes back the next used buffer: its cookie and the number of bytes written.
    pub fn reap(&mut self) -> Option<(u32, u32)> {
        self.driver.reap().expect("the used buffer is correct").map(|used| (used.cookie, used.written))
    }

    /// Sends one byte to the device and back. No other buffer may be available, or used and not
    /// reaped.
    pub fn transfer(&mut self, cookie: u32) {
        let _ = self.offer(&[Segment::new(BUFFERS, 1)], &[], cookie);
        let token = self.take();
        let _ = self.finish(token, 0);
        assert_eq!(self.reap(), Some((cookie, 0)));
    }
}
