//! Random messages of a VMM, and a device that answers some of them late or disconnects. The VMM
//! always gets its replies, and a device that behaves in the end serves the queue.

mod support;

use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use isolation_host::protocol::payload::{ConfigHeader, VringState};
use isolation_host::protocol::{Message, Request};
use proptest::prelude::*;
use ring_core::Features;
use support::Host;
use support::device::{Offer, TestDevice, serve_honestly};
use support::guest::{self, TestGuest};
use zerocopy::IntoBytes as _;

/// A step of the VMM.
#[derive(Clone, Copy, Debug)]
enum Step {
    Start,
    Request,
    Enable(bool),
    ReadConfig,
    Reset,
    Stop,
}

/// How the device handles a message.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Now,
    After(u64),
    HangUp,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Start),
        2 => Just(Step::Request),
        1 => any::<bool>().prop_map(Step::Enable),
        2 => Just(Step::ReadConfig),
        1 => Just(Step::Reset),
        3 => Just(Step::Stop),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        12 => Just(Answer::Now),
        6 => (0u64..30).prop_map(Answer::After),
        1 => Just(Answer::HangUp),
    ]
}

/// Serves the control messages of one connection after the other, but no requests, until the test
/// needs an honest device.
fn serve(listener: &UnixListener, answers: &[Answer], honest: &AtomicBool) {
    // This device can be reset.
    let offer = Offer { protocol: Offer::default().protocol | 1 << 13, ..Offer::default() };
    let mut answers = answers.iter().cycle();
    while !honest.load(Ordering::Relaxed) {
        let mut device = TestDevice::accept(listener, offer);
        while let Some(answer) = answers.next().filter(|_| !honest.load(Ordering::Relaxed)) {
            match answer {
                Answer::Now => {}
                Answer::After(milliseconds) => thread::sleep(Duration::from_millis(*milliseconds)),
                Answer::HangUp => break,
            }
            device.step(Instant::now() + Duration::from_millis(5));
        }
    }
    loop {
        serve_honestly(TestDevice::accept(listener, offer));
    }
}

/// The VMM.
struct Vmm {
    guest: TestGuest,
    driver: Option<guest::Queue>,
    requests: u32,
}

impl Vmm {
    fn take_step(&mut self, step: Step) {
        match step {
            Step::Start if self.driver.is_none() => self.driver = Some(self.guest.start(0)),
            Step::Stop if self.driver.take().is_some() => {
                self.guest.stop(0);
            }
            Step::Request if self.requests < 8 => {
                if let Some(driver) = &mut self.driver {
                    self.guest.request(driver, 64 * u64::from(self.requests), b"x", 1, self.requests);
                    self.guest.publish(0, driver);
                    self.requests += 1;
                }
            }
            Step::Enable(enabled) => {
                let state = VringState { index: 0, num: enabled.into() };
                let message = Message::request(Request::SetVringEnable, &state);
                self.guest.order(Request::SetVringEnable, message);
            }
            Step::ReadConfig => {
                let header = ConfigHeader { offset: 16, size: 16, flags: 0 };
                let payload = [header.as_bytes(), &[0; 16]].concat();
                let reply = self.guest.ask(Message::request(Request::GetConfig, &payload[..]));
                assert!([0, payload.len()].contains(&reply.payload.len()));
            }
            Step::Reset => {
                self.guest.order(Request::ResetDevice, Message::request(Request::ResetDevice, &[0u8; 0]));
                self.guest.forget(0);
                self.driver = None;
            }
            Step::Start | Step::Stop | Step::Request => {}
        }
        if self.driver.is_none() {
            self.requests = 0;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_device_that_answers_late_or_hangs_up_keeps_the_vmm_waiting(
        steps in prop::collection::vec(step(), 1..40),
        answers in prop::collection::vec(answer(), 20..100),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let listener = TestDevice::listen(directory.path());
        let options = ["--device", "blk", "--device-wait-ms", "5", "--drain-timeout", "0"];
        let mut host = Host::start(directory, &options);
        let honest = Arc::new(AtomicBool::new(false));
        let of_device = Arc::clone(&honest);
        thread::spawn(move || serve(&listener, &answers, &of_device));
        let guest = TestGuest::new(host.connect(), Features::empty());
        let mut vmm = Vmm { guest, driver: None, requests: 0 };
        steps.into_iter().for_each(|step| vmm.take_step(step));
        honest.store(true, Ordering::Relaxed);
        vmm.take_step(Step::Stop);
        vmm.take_step(Step::Start);
        vmm.take_step(Step::Request);
        let driver = vmm.driver.as_mut().unwrap();
        prop_assert_eq!(vmm.guest.reap(0, driver), (0, 1));
        prop_assert!(host.is_alive());
    }
}
