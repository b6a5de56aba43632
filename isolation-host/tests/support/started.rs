//! A guest and a device with isolation-host between them, with one queue started.

use std::os::unix::net::UnixListener;

use ring_core::Features;

use super::Host;
use super::device::{self, Offer, TestDevice};
use super::guest::{self, TestGuest};

/// The ring features that change what a driver does.
pub(crate) const FORMATS: [Features; 4] = [
    Features::empty(),
    Features::RING_PACKED,
    Features::EVENT_IDX,
    Features::RING_PACKED.union(Features::EVENT_IDX),
];

/// Starts isolation-host with a guest that uses `features`, a device that offers `offer`, and queue
/// 0.
pub(crate) fn started(features: Features, offer: Offer, options: &[&str]) -> Parts {
    let directory = tempfile::tempdir().unwrap();
    let listener = TestDevice::listen(directory.path());
    let host = Host::start(directory, options);
    let accepting = std::thread::spawn(move || {
        let mut device = TestDevice::accept(&listener, offer);
        let queue = device.serve_until_started(0);
        (listener, device, queue)
    });
    let mut guest = TestGuest::new(host.connect(), features);
    let driver = guest.start(0);
    let (listener, device, queue) = accepting.join().unwrap();
    Parts { host, guest, driver, device, queue, listener }
}

/// isolation-host and both of its peers.
pub(crate) struct Parts {
    pub(crate) host: Host,
    pub(crate) guest: TestGuest,
    pub(crate) driver: guest::Queue,
    pub(crate) device: TestDevice,
    pub(crate) queue: device::Queue,
    pub(crate) listener: UnixListener,
}
