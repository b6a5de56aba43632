//! Requests of the front-end: configuration, queues, pauses and resets of the machine.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;

use crate::support::{
    BYTES, DEADLINE, Daemon, FORMATS, FRAMES, Format, Guest, MEMORY_END, OK, VMM_OFFSET, counting,
    record_after_pause, status_of, words,
};
use ring_core::memory::Memory as _;
use rustix::fs::{MemfdFlags, memfd_create};
use snd_host::spec::{CONTROL_QUEUE, Status, TX_QUEUE, request};
use vhost::vhost_user::VhostUserFrontend;
use vhost::vhost_user::message::VhostUserConfigFlags;
use vhost::{VhostBackend as _, VringConfigData};
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

#[test]
fn a_write_to_the_configuration_space_changes_nothing() {
    let daemon = Daemon::start("fakesink sync=true");
    let mut guest = Guest::connect(&daemon, Format::Packed);
    let config = guest.config();
    guest.frontend.set_config(0, VhostUserConfigFlags::WRITABLE, &[0xff; 16]).unwrap();
    assert_eq!(guest.config(), config);
    assert_eq!(status_of(&guest.pcm_info()), OK);
}

#[test]
fn a_queue_outside_guest_memory_does_not_affect_the_other_queues() {
    let changes: [fn(&mut VringConfigData); 3] = [
        |config| config.desc_table_addr = VMM_OFFSET + MEMORY_END - 16,
        |config| config.avail_ring_addr = VMM_OFFSET + MEMORY_END - 2,
        |config| config.used_ring_addr = VMM_OFFSET + MEMORY_END - 4,
    ];
    let daemon = Daemon::start("fakesink sync=true");
    for format in FORMATS {
        let mut guest = Guest::connect(&daemon, format);
        for change in changes {
            guest.stop_queue(TX_QUEUE);
            guest.start_queue(TX_QUEUE, change);
            guest.kick(TX_QUEUE);
            assert_eq!(status_of(&guest.pcm_info()), OK);
        }
        guest.stop_queue(TX_QUEUE);
        guest.start_queue(TX_QUEUE, |_| {});
        guest.prepare(0, 4);
        guest.start(0);
        guest.play_period();
    }
}

#[test]
fn a_packed_queue_may_have_any_size() {
    let daemon = Daemon::start("fakesink sync=true");
    for size in [7, 48, 63] {
        let mut guest = Guest::connect_with(&daemon, Format::Packed, size);
        guest.prepare(0, 4);
        guest.start(0);
        // A message has four segments, so the ring wraps several times.
        (0..50).for_each(|_| guest.play_period());
        guest.finish(0);
    }
}

#[test]
fn playback_resumes_after_a_pause_at_any_ring_position() {
    for format in FORMATS {
        let daemon = Daemon::start("fakesink sync=true");
        let mut guest = Guest::connect(&daemon, format);
        guest.prepare(0, 4);
        guest.start(0);
        // After these requests of two segments each, a packed queue of 64 descriptors has wrapped.
        (3..64).for_each(|_| assert_eq!(status_of(&guest.pcm_info()), OK));
        guest.stop_queues();
        guest.start_queues();
        guest.play_period();
        guest.finish(0);
    }
}

#[test]
fn a_reset_machine_has_no_prepared_stream() {
    for format in FORMATS {
        let daemon = Daemon::start("fakesink sync=true");
        let mut guest = Guest::connect(&daemon, format);
        guest.prepare(0, 4);
        guest.start(0);
        guest.play_period();
        guest.reboot();
        assert_eq!(guest.command(&words(&[request::PCM_STOP, 0])), Status::BadMsg as u32);
        guest.prepare(0, 4);
        guest.start(0);
        guest.play_period();
    }
}

/// When a queue stops, the device puts the newest messages back into the ring (`unpop`). A message
/// that is older than a completed message cannot be put back, so the device completes it early.
#[test]
fn a_pause_returns_early_only_what_precedes_a_returned_message() {
    // Half a second of U8 mono at 8 kHz, in bytes.
    const LONG: u32 = 4000;
    let long = |number: u8| [number; LONG as usize];
    let daemon =
        Daemon::start_with(&["--streams", "2,1", "--sink", "filesink location={}/out-{stream} sync=true"]);
    let mut guest = Guest::connect(&daemon, Format::Packed);
    guest.must(&words(&[request::PCM_SET_PARAMS, 0, 4 * LONG, LONG, 0, 0x0001_0401]));
    guest.must(&words(&[request::PCM_PREPARE, 0]));
    guest.prepare(1, 4);
    (0..2).for_each(|number| guest.play(0, &long(number)));
    guest.play(1, &counting(0..FRAMES));
    (2..4).for_each(|number| guest.play(0, &long(number)));
    // Only stream 1 runs, so only its message ends before the pause.
    guest.start(1);
    assert_eq!(guest.played().status, OK);
    guest.stop_queues();
    for _ in 0..2 {
        assert!(guest.has_returned(TX_QUEUE));
        assert_eq!(guest.played().status, OK);
    }
    assert!(!guest.has_returned(TX_QUEUE));
    guest.start_queues();
    guest.start(0);
    guest.play(0, &long(4));
    (0..3).for_each(|_| assert_eq!(guest.played().status, OK));
    (0..2).for_each(|stream| guest.finish(stream));
    let directory = daemon.end();
    let heard = |stream: u32| fs::read(directory.path().join(format!("out-{stream}"))).unwrap();
    assert!(heard(0) == (0..5).flat_map(long).collect::<Vec<u8>>());
    assert!(heard(1) == counting(0..FRAMES));
}

/// The buffer holds 2.4 s of audio. Audio recorded during the pause of at least 2.2 s would still
/// be kept when the recording resumes, so more than 2 s would be old.
#[test]
fn a_machine_that_is_paused_is_not_recorded() {
    const PAUSE: u32 = 220;
    let daemon = Daemon::start("fakesink sync=true");
    let mut guest = Guest::connect(&daemon, Format::Packed);
    let recorded = record_after_pause(&mut guest, 240, PAUSE);
    assert!(recorded.latency_bytes < PAUSE / 2 * BYTES, "{} bytes are old", recorded.latency_bytes);
}

#[test]
fn a_call_file_that_is_full_and_blocks_does_not_hang_the_device() {
    let daemon = Daemon::start("fakesink sync=true");
    let mut guest = Guest::connect(&daemon, Format::Split);
    let full = EventFd::new(EFD_CLOEXEC).unwrap();
    full.write(u64::MAX - 1).unwrap();
    guest.frontend.set_vring_call(TX_QUEUE, &full).unwrap();
    // A message to a stream that is not prepared is returned at once, with a notification.
    guest.play(0, &counting(0..FRAMES));
    assert_eq!(status_of(&guest.pcm_info()), OK);
    daemon.end();
}

#[test]
fn a_broken_control_queue_signals_the_error_file() {
    let daemon = Daemon::start("fakesink sync=true");
    for format in FORMATS {
        let mut guest = Guest::connect(&daemon, format);
        let error = EventFd::new(EFD_CLOEXEC | EFD_NONBLOCK).unwrap();
        guest.frontend.set_vring_err(CONTROL_QUEUE, &error).unwrap();
        assert_eq!(status_of(&guest.pcm_info()), OK);
        assert!(error.read().is_err(), "the queue is not broken yet");
        // An available index that jumps, or descriptors that are available and invalid. The areas
        // of the control queue begin at address 0.
        guest.memory.write_bytes(0, &[0xff, 0x7f].repeat(512)).unwrap();
        guest.memory.write_bytes(0x4000 + 2, &[0xff, 0x7f]).unwrap();
        guest.kick(CONTROL_QUEUE);
        wait_for(&error);
    }
}

#[test]
fn a_memory_file_that_is_too_short_is_refused_with_a_sentence() {
    let daemon = Daemon::start("fakesink sync=true");
    let guest = Guest::connect(&daemon, Format::Split);
    let file = File::from(memfd_create("guest", MemfdFlags::CLOEXEC).unwrap());
    file.set_len(MEMORY_END - 1).unwrap();
    assert!(guest.set_memory_file(&file).is_err());
    daemon.wait_for("the region ends at 8388608; give the memory backend");
    drop(guest);
    let mut guest = Guest::connect(&daemon, Format::Split);
    assert_eq!(status_of(&guest.pcm_info()), OK);
}

#[test]
fn a_memory_file_that_is_truncated_ends_the_process_with_a_sentence() {
    let mut daemon = Daemon::start("fakesink sync=true");
    let guest = Guest::connect(&daemon, Format::Split);
    let file = File::from(memfd_create("guest", MemfdFlags::CLOEXEC).unwrap());
    file.set_len(MEMORY_END).unwrap();
    guest.set_memory_file(&file).unwrap();
    daemon.wait_for("guest memory is not sealed");
    file.set_len(0).unwrap();
    guest.kick(CONTROL_QUEUE);
    daemon.wait_for("the file behind guest memory has been truncated");
    assert_eq!(daemon.wait_for_end().code(), Some(1));
}

#[test]
fn memory_that_is_not_shared_is_reported_with_what_to_do() {
    let daemon = Daemon::start("fakesink sync=true");
    let mut guest = Guest::connect(&daemon, Format::Packed);
    for _ in 0..2 {
        guest.kick(CONTROL_QUEUE);
        guest.wait_until_kick_is_read(CONTROL_QUEUE);
    }
    daemon.wait_for("add share=on to the memory backend");
    assert_eq!(status_of(&guest.pcm_info()), OK);
}

/// Waits until `file` is readable.
fn wait_for(file: &EventFd) {
    let epoll = Epoll::new().unwrap();
    epoll.ctl(ControlOperation::Add, file.as_raw_fd(), EpollEvent::new(EventSet::IN, 0)).unwrap();
    let timeout = i32::try_from(DEADLINE.as_millis()).unwrap();
    let ready = epoll.wait(timeout, &mut [EpollEvent::default()]).unwrap();
    assert_eq!(ready, 1, "the file is not readable within {DEADLINE:?}");
}
