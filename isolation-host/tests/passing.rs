//! Messages between the VMM and the device that are not about requests.

mod support;

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Instant;

use isolation_host::protocol::{BackendRequest, Channel, Message, Request};
use ring_core::Features;
use rustix::fs::{MemfdFlags, memfd_create};
use support::TIMEOUT;
use support::device::Offer;
use support::started::{Parts, started};

/// `VHOST_F_LOG_ALL`.
const LOG_ALL: u64 = 1 << 26;

#[test]
fn configuration_changes_are_relayed_to_the_vmm_at_a_limited_rate() {
    let mut offer = Offer::default();
    offer.protocol |= 1 << 5;
    let Parts { mut guest, device, host: _host, .. } = started(Features::empty(), offer, &[]);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let message = Message::request(Request::SetBackendReqFd, &[0u8; 0]).with_fd(theirs.into());
    guest.order(Request::SetBackendReqFd, message);
    let (mut channel, mut requests) = (Channel::new(ours.into()), device.requests.unwrap());
    let change = || Message::request(BackendRequest::ConfigChangeMsg, &[0u8; 0]);
    for _ in 0..100 {
        requests.send(&change().needing_reply()).unwrap();
        assert_eq!(requests.receive_by(Instant::now() + TIMEOUT).unwrap().body(), Ok(0u64));
    }
    let relayed = channel.receive_by(Instant::now() + TIMEOUT).unwrap();
    assert_eq!(relayed.request, BackendRequest::ConfigChangeMsg as u32);
    // The other changes are relayed later, as one change.
    assert!(channel.receive_by(Instant::now() + TIMEOUT).is_ok());
    let more = std::iter::from_fn(|| channel.receive().unwrap()).count();
    assert!(more < 50, "{more}");
}

#[test]
fn a_device_that_has_not_replied_yet_still_gets_requests() {
    // Less than the time after which a device that owes a reply is disconnected.
    let options = ["--device-wait-ms", "9000"];
    let Parts { mut guest, mut driver, mut device, mut queue, host: _host, .. } =
        started(Features::empty(), Offer::default(), &options);
    let question = [0u32, 0, 0].map(u32::to_ne_bytes);
    guest.channel.send(&Message::request(Request::GetConfig, question.as_flattened())).unwrap();
    for number in 0..100 {
        guest.request(&mut driver, 0, b"question", 8, number);
        guest.publish(0, &mut driver);
        device.echo(0, &mut queue);
        assert_eq!(guest.reap(0, &mut driver), (number, 8));
    }
    // isolation-host still waits for the reply; otherwise the answer would be empty.
    device.serve_until(Request::GetConfig);
    let answer = guest.channel.receive_by(Instant::now() + TIMEOUT).unwrap();
    assert_eq!(answer.payload, question.as_flattened());
}

#[test]
fn requests_of_the_advertised_size_complete_although_few_fit_at_once() {
    let options = ["--device", "blk", "--area-size", "8M"];
    let Parts { mut guest, mut driver, mut device, mut queue, host: _host, .. } =
        started(Features::empty(), Offer::default(), &options);
    let question = [0u32.to_ne_bytes(), 60u32.to_ne_bytes(), [0; 4]].concat();
    let question = [question, vec![0; 60]].concat();
    let (size_max, seg_max) = std::thread::scope(|scope| {
        let answer = scope.spawn(|| guest.ask(Message::request(Request::GetConfig, &question[..])));
        // isolation-host sends one request to the device, because each request may make the VMM
        // wait.
        assert_eq!(device.step(Instant::now() + TIMEOUT), Some(Request::GetConfig));
        let answer = answer.join().unwrap().payload;
        let number = |at: usize| u32::from_le_bytes(answer[12 + at..][..4].try_into().unwrap());
        (number(8), number(12))
    });
    let bytes = size_max * seg_max;
    assert!((1 << 20..2 << 20).contains(&bytes), "{size_max} × {seg_max}");
    let data = vec![0x77; bytes as usize / 2];
    for number in 0..3u32 {
        guest.request(&mut driver, u64::from(number * bytes), &data, bytes / 2, number);
    }
    guest.publish(0, &mut driver);
    for _ in 0..3 {
        assert_eq!(device.echo(0, &mut queue).len(), data.len());
    }
    let returned: Vec<(u32, u32)> = (0..3).map(|_| guest.reap(0, &mut driver)).collect();
    assert_eq!(returned, [0, 1, 2].map(|number| (number, bytes / 2)));
}

#[test]
fn the_state_of_a_device_reaches_the_vmm_unchanged() {
    let mut offer = Offer::default();
    offer.protocol |= 1 << 19;
    let Parts { mut guest, mut device, host: _host, .. } = started(Features::empty(), offer, &[]);
    let (theirs, ours) = UnixStream::pair().unwrap();
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let set = Message::request(Request::SetDeviceStateFd, &[0u32, 0]).with_fd(OwnedFd::from(theirs));
            let set: u64 = guest.ask(set).body().unwrap();
            let check: u64 =
                guest.ask(Message::request(Request::CheckDeviceState, &[0u8; 0])).body().unwrap();
            (set, check)
        });
        device.serve_until(Request::CheckDeviceState);
        assert_eq!(asking.join().unwrap(), (0, 0));
    });
    let mut state = [0; 8];
    assert_eq!(rustix::io::read(&ours, &mut state), Ok(5));
    assert_eq!(&state[..5], b"state");
}

#[test]
fn a_device_with_log_all_gets_a_dirty_log_of_its_own() {
    let mut offer = Offer::default();
    offer.features |= LOG_ALL;
    offer.protocol |= 1 << 1;
    let Parts { mut guest, mut device, host: _host, .. } = started(Features::empty(), offer, &[]);
    assert_eq!(device.asked & LOG_ALL, 0);
    let wanted = device.asked & !Features::EVENT_IDX.bits() & !Features::INDIRECT_DESC.bits() | LOG_ALL;
    std::thread::scope(|scope| {
        let message = Message::request(Request::SetFeatures, &wanted);
        let ordering = scope.spawn(|| guest.order(Request::SetFeatures, message));
        device.serve_until(Request::SetFeatures);
        ordering.join().unwrap();
    });
    assert_ne!(device.asked & LOG_ALL, 0);
    // The log has one bit for each page up to the last address of the area.
    let (area, log) = (&device.memory[0], rustix::fs::fstat(device.log.unwrap()).unwrap());
    assert!(u64::try_from(log.st_size).unwrap() * 8 * 4096 >= area.address() + area.size());
}

#[test]
fn a_device_reset_is_relayed_and_the_features_are_set_again() {
    let mut offer = Offer::default();
    offer.protocol |= 1 << 13;
    let Parts { mut guest, mut device, host: _host, .. } = started(Features::empty(), offer, &[]);
    let features = device.asked & !Features::EVENT_IDX.bits() & !Features::INDIRECT_DESC.bits();
    std::thread::scope(|scope| {
        let resetting = scope.spawn(|| {
            guest.order(Request::ResetDevice, Message::request(Request::ResetDevice, &[0u8; 0]));
            guest.order(Request::SetFeatures, Message::request(Request::SetFeatures, &features));
        });
        device.serve_until(Request::ResetDevice);
        device.serve_until(Request::SetFeatures);
        resetting.join().unwrap();
    });
}

#[test]
fn files_are_not_relayed_with_a_message_that_has_none() {
    let Parts { mut guest, mut device, host: _host, .. } = started(Features::empty(), Offer::default(), &[]);
    let file = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    let question = [0u32, 4, 0, 0].map(u32::to_ne_bytes);
    let message = Message::request(Request::GetConfig, question.as_flattened()).with_fd(file());
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| guest.ask(message));
        let asked = device.channel.receive_by(Instant::now() + TIMEOUT).unwrap();
        assert!(asked.fds.is_empty());
        device.send(&asked.reply(&asked.payload[..]).with_fd(file()));
        let answer = asking.join().unwrap();
        assert!(answer.fds.is_empty() && answer.payload.len() == 16);
    });
}

#[test]
fn no_message_but_that_for_the_state_gives_the_device_a_file_of_the_vmm() {
    let mut offer = Offer::default();
    // The features RARP, NET_MTU, CRYPTO_SESSION and DEVICE_STATE, with requests that are relayed.
    offer.protocol |= 1 << 2 | 1 << 4 | 1 << 7 | 1 << 19;
    let Parts { mut guest, mut device, host: _host, .. } =
        started(Features::empty(), offer, &["--device-wait-ms", "20"]);
    let serving = std::thread::spawn(move || {
        let requests: Vec<_> = std::iter::from_fn(|| device.step(Instant::now() + TIMEOUT)).collect();
        (device, requests)
    });
    for number in (0..60).filter(|number| *number != Request::SetDeviceStateFd as u32) {
        let file = memfd_create("file-of-the-vmm", MemfdFlags::CLOEXEC).unwrap();
        let message = Message::request(number, &[0u8; 12]).with_fd(file).needing_reply();
        guest.channel.send(&message).unwrap();
        let reply = guest.channel.receive_by(Instant::now() + TIMEOUT);
        assert_eq!(reply.map(|reply| reply.request).ok(), Some(number));
    }
    guest.disconnect();
    let (device, requests) = serving.join().unwrap();
    for relayed in [
        Request::SendRarp,
        Request::NetSetMtu,
        Request::GetConfig,
        Request::SetConfig,
        Request::CreateCryptoSession,
        Request::CloseCryptoSession,
        Request::CheckDeviceState,
    ] {
        assert!(requests.contains(&relayed), "{relayed:?}: {requests:?}");
    }
    let links = device.given.iter().map(|fd| format!("/proc/self/fd/{}", fd.as_raw_fd()));
    let names: Vec<PathBuf> = links.map(|link| std::fs::read_link(link).unwrap()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains("file-of-the-vmm")), "{names:?}");
}

#[test]
fn a_reply_with_more_configuration_than_requested_is_refused() {
    let Parts { mut guest, device, mut host, .. } = started(Features::empty(), Offer::default(), &[]);
    let mut device = device;
    let question = [0u32, 4, 0, 0].map(u32::to_ne_bytes);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| guest.ask(Message::request(Request::GetConfig, question.as_flattened())));
        let asked = device.channel.receive_by(Instant::now() + TIMEOUT).unwrap();
        device.send(&asked.reply(&[0u8; 1000]));
        assert_eq!(asking.join().unwrap().payload.len(), 0);
    });
    host.wait_for("answers with 1000 bytes of configuration where 16 were asked for");
}
