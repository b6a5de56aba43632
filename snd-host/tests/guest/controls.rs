//! Control elements take effect, and events reach the guest.

use std::fs;

use crate::support::{BYTES, Daemon, FORMATS, FRAMES, Format, Guest, OK, counting, status_of, words};
use ring_core::Segment;
use ring_core::memory::Memory as _;
use snd_host::spec::{EVENT_QUEUE, PCM_FEATURE_XRUNS, Status, event, request};

const NOT_SUPP: u32 = Status::NotSupp as u32;

/// Gives the device a buffer for an event.
fn add_event_buffer(guest: &mut Guest) {
    let address = guest.allocate();
    guest.memory.write_bytes(address, &[0xee; 8]).unwrap();
    guest.add(EVENT_QUEUE, &[], &[Segment::new(address, 8)], address);
}

/// Waits for an event and returns it.
fn next_event(guest: &mut Guest) -> [u32; 2] {
    let used = guest.wait(EVENT_QUEUE);
    assert_eq!(used.written, 8);
    let mut bytes = [0; 8];
    guest.memory.read_bytes(used.cookie, &mut bytes).unwrap();
    [0, 4].map(|at| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()))
}

/// Writes a control element and returns the status.
fn write(guest: &mut Guest, control: u32, value: u32) -> u32 {
    let mut bytes = words(&[request::CTL_WRITE, control, value]);
    bytes.resize(8 + 512, 0);
    guest.command(&bytes)
}

/// Prepares a stream that reports underruns and overruns.
fn prepare(guest: &mut Guest, stream: u32) {
    let set_params = [request::PCM_SET_PARAMS, stream, 4 * BYTES, BYTES, PCM_FEATURE_XRUNS, 0x0007_0502];
    guest.must(&words(&set_params));
    guest.must(&words(&[request::PCM_PREPARE, stream]));
}

#[test]
fn without_the_option_there_are_no_elements() {
    let daemon = Daemon::start("fakesink");
    let mut guest = Guest::connect(&daemon, Format::Packed);
    assert_eq!(guest.config()[12..], words(&[0]));
    for code in request::CTL_INFO..=request::TLV_COMMAND {
        assert_eq!(guest.command(&words(&[code, 0, 1, 96])), NOT_SUPP, "{code:#x}");
    }
}

#[test]
fn a_write_is_reported_only_if_it_changes_the_value() {
    for format in FORMATS {
        let daemon = Daemon::start_with(&["--controls", "--sink", "fakesink"]);
        let mut guest = Guest::connect(&daemon, format);
        assert_eq!(guest.config()[12..], words(&[4]));
        assert_eq!(status_of(&guest.request(&words(&[request::CTL_INFO, 0, 4, 96]), 4 + 4 * 96)), OK);
        // The first event precedes its buffer; the second one follows its buffer.
        assert_eq!(write(&mut guest, 0, 100), OK);
        assert_eq!(write(&mut guest, 1, 0), OK);
        (0..2).for_each(|_| add_event_buffer(&mut guest));
        assert_eq!(next_event(&mut guest), [event::CTL_NOTIFY, 0x0001_0001]);
        assert_eq!(write(&mut guest, 1, 0), OK);
        assert_eq!(write(&mut guest, 2, 7), OK);
        assert_eq!(next_event(&mut guest), [event::CTL_NOTIFY, 0x0001_0002]);
        assert!(!guest.has_returned(EVENT_QUEUE));
    }
}

#[test]
fn a_full_volume_changes_nothing_a_lower_one_scales_and_off_is_silence() {
    let daemon = Daemon::start_with(&["--controls", "--sink", "filesink location={}/out-{take} sync=true"]);
    let mut guest = Guest::connect(&daemon, Format::Packed);
    for (control, value) in [(0, 100), (0, 60), (1, 0)] {
        assert_eq!(write(&mut guest, control, value), OK);
        prepare(&mut guest, 0);
        (0..4).for_each(|_| guest.play(0, &counting(0..FRAMES)));
        guest.start(0);
        (0..4).for_each(|_| assert_eq!(guest.played().status, OK));
        guest.finish(0);
    }
    let directory = daemon.end();
    let take = |number: u32| fs::read(directory.path().join(format!("out-{number}"))).unwrap();
    assert!(take(0) == counting(0..FRAMES).repeat(4));
    // 20 dB less is a tenth of the amplitude.
    let last = |bytes: &[u8]| i16::from_le_bytes(bytes[BYTES as usize - 4..][..2].try_into().unwrap());
    assert!((last(&take(1)) - 47).abs() <= 1, "{}", last(&take(1)));
    assert!(take(2).len() == 4 * BYTES as usize && take(2).iter().all(|byte| *byte == 0));
}

#[test]
fn an_underrun_is_reported_once_audio_resumes_and_an_end_is_not() {
    let daemon = Daemon::start("fakesink sync=true");
    let mut guest = Guest::connect(&daemon, Format::Packed);
    (0..2).for_each(|_| add_event_buffer(&mut guest));
    prepare(&mut guest, 0);
    (0..2).for_each(|_| guest.play(0, &counting(0..FRAMES)));
    guest.start(0);
    (0..2).for_each(|_| assert_eq!(guest.played().status, OK));
    guest.pcm_info();
    assert!(!guest.has_returned(EVENT_QUEUE));
    guest.play(0, &counting(0..FRAMES));
    assert_eq!(next_event(&mut guest), [event::PCM_XRUN, 0]);
    assert_eq!(guest.played().status, OK);
    guest.finish(0);
    assert!(!guest.has_returned(EVENT_QUEUE));
}

#[test]
fn an_underrun_is_not_reported_unless_the_driver_asked_for_it() {
    let daemon = Daemon::start("fakesink sync=true");
    let mut guest = Guest::connect(&daemon, Format::Split);
    add_event_buffer(&mut guest);
    guest.prepare(0, 4);
    guest.start(0);
    for _ in 0..2 {
        guest.play(0, &counting(0..FRAMES));
        assert_eq!(guest.played().status, OK);
    }
    guest.finish(0);
    daemon.wait_for("released: 1 xruns");
    assert!(!guest.has_returned(EVENT_QUEUE));
}

#[test]
fn an_overrun_is_reported_and_the_recording_continues() {
    let daemon = Daemon::start("fakesink");
    let mut guest = Guest::connect(&daemon, Format::Packed);
    add_event_buffer(&mut guest);
    prepare(&mut guest, 1);
    guest.record(1, BYTES);
    guest.start(1);
    assert_eq!(guest.recorded().status, OK);
    // No message is in flight, so the audio of the source is eventually dropped.
    assert_eq!(next_event(&mut guest), [event::PCM_XRUN, 1]);
    guest.record(1, BYTES);
    let recorded = guest.recorded();
    assert_eq!((recorded.status, recorded.audio.len()), (OK, BYTES as usize));
    guest.finish(1);
    let summary = daemon.wait_for("released:");
    assert!(!summary.contains("released: 0 xruns") && !summary.contains("dropped=0"), "{summary}");
}
