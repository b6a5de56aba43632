//! The audio process ends or hangs while a guest plays and records. The guest does not notice it.

use std::fs;

use rustix::process::Signal;

use crate::support::{
    BYTES, Daemon, FRAMES, Format, Guest, OK, Recorded, counting_period, frame_number, write_counting_wav,
};

/// The stream that records.
const RECORDING: u32 = 1;

/// The number of messages in flight on each stream.
const AHEAD: u32 = 8;

/// Frames that a sink has written ahead of what is heard. The next sink writes them again.
const REPEATED: i64 = 4 * FRAMES as i64 + 1920;

/// A guest that plays the counting pattern and records it from a file.
struct Duplex {
    daemon: Daemon,
    guest: Guest,
    /// Periods that were sent to be played.
    sent: u32,
    recorded: Vec<u8>,
}

impl Duplex {
    fn start() -> Self {
        let daemon = Daemon::start_with(&[
            "--sink",
            "filesink location={}/out append=true sync=true buffer-mode=unbuffered",
            "--source",
            "filesrc location={}/in.wav ! wavparse",
        ]);
        write_counting_wav(&daemon, "in.wav", 2_000 * FRAMES);
        let mut guest = Guest::connect(&daemon, Format::Packed);
        for stream in [0, RECORDING] {
            guest.prepare(stream, AHEAD);
        }
        (0..AHEAD).for_each(|index| guest.play(0, &counting_period(index)));
        (0..AHEAD).for_each(|_| guest.record(RECORDING, BYTES));
        guest.start(0);
        guest.start(RECORDING);
        Self { daemon, guest, sent: AHEAD, recorded: Vec::new() }
    }

    /// Waits for a message of each stream, and sends the next ones.
    fn round(&mut self) {
        assert_eq!(self.guest.played().status, OK);
        self.guest.play(0, &counting_period(self.sent));
        self.sent += 1;
        let Recorded { status, audio, .. } = self.guest.recorded();
        assert_eq!((status, audio.len()), (OK, BYTES as usize));
        self.recorded.extend(audio);
        self.guest.record(RECORDING, BYTES);
    }

    /// Sends the audio process a signal, and waits until another audio process is stable.
    fn interrupt(&mut self, signal: Signal) {
        let process = self.daemon.audio();
        self.daemon.signal_audio(signal);
        while self.daemon.audio_if_any().is_none_or(|current| current == process) {
            self.round();
        }
        (0..120).for_each(|_| self.round());
    }
}

/// Plays and records, and sends `signal` to the audio process `times` times. Returns the frames
/// that were played, and those that were recorded.
fn interrupt(signal: Signal, times: u32) -> (Vec<u32>, Vec<u32>) {
    let mut duplex = Duplex::start();
    (0..50).for_each(|_| duplex.round());
    let before = duplex.daemon.card_usage();
    (0..times).for_each(|_| duplex.interrupt(signal));
    let after = duplex.daemon.card_usage();
    assert_eq!((before.files, before.threads), (after.files, after.threads));
    let Duplex { daemon, mut guest, recorded, .. } = duplex;
    guest.finish(0);
    guest.finish(RECORDING);
    let directory = daemon.end();
    (numbers(&fs::read(directory.path().join("out")).unwrap()), numbers(&recorded))
}

/// Returns the number of each frame of the counting pattern that is not silent.
fn numbers(audio: &[u8]) -> Vec<u32> {
    audio.as_chunks().0.iter().filter_map(frame_number).collect()
}

/// Returns by how much each frame that does not follow its predecessor is off.
fn jumps(frames: &[u32]) -> Vec<i64> {
    let step = |pair: &[u32]| i64::from(pair[1]) - i64::from(pair[0]) - 1;
    frames.windows(2).map(step).filter(|jump| *jump != 0).collect()
}

/// Asserts that the played frames are right and in order except for a gap of at most `gap` frames
/// at each interruption, and the recorded ones except where the next process reads the file anew.
fn assert_gaps(played: &[u32], recorded: &[u32], times: u32, gap: i64) {
    let found = jumps(played);
    println!("gaps of playback, in frames: {found:?}");
    assert!(found.len() <= times as usize, "{found:?}");
    assert!(found.iter().all(|jump| (-REPEATED..=gap).contains(jump)), "{found:?}");
    let jumped: Vec<u32> =
        recorded.windows(2).filter(|pair| pair[1] != pair[0] + 1).map(|pair| pair[1]).collect();
    assert!(jumped.len() <= times as usize && jumped.iter().all(|frame| *frame == 0), "{jumped:?}");
    assert!(recorded.len() > FRAMES as usize * 100 && played.len() > FRAMES as usize * 100);
}

#[test]
fn a_guest_plays_and_records_on_while_the_audio_process_is_killed() {
    let (played, recorded) = interrupt(Signal::KILL, 5);
    assert_gaps(&played, &recorded, 5, 24_000);
}

#[test]
fn a_guest_plays_and_records_on_while_the_audio_process_is_stopped() {
    let (played, recorded) = interrupt(Signal::STOP, 2);
    assert_gaps(&played, &recorded, 2, 96_000);
}

#[test]
fn the_audio_process_has_no_guest_memory_and_the_card_no_gstreamer() {
    let daemon = Daemon::start("fakesink sync=true");
    let mut guest = Guest::connect(&daemon, Format::Split);
    guest.prepare(0, 4);
    (0..4).for_each(|index| guest.play(0, &counting_period(index)));
    guest.start(0);
    (0..4).for_each(|_| assert_eq!(guest.played().status, OK));
    let (card, audio) = (daemon.id(), daemon.audio());
    let maps = |process| fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    assert!(maps(card).contains("memfd:guest") && maps(audio).contains("libgstreamer"));
    assert!(!maps(audio).contains("memfd:guest") && !maps(card).contains("libgst"));
    assert!(files(card).iter().any(|file| file.contains("memfd:guest")));
    let files = files(audio);
    assert!(files.iter().any(|file| file.contains("snd-host-take")), "{files:?}");
    assert!(!files.iter().any(|file| file.contains("memfd:guest")), "{files:?}");
    guest.finish(0);
}

/// Returns what the open files of a process are.
fn files(process: u32) -> Vec<String> {
    let links = fs::read_dir(format!("/proc/{process}/fd")).unwrap().flatten();
    links.flat_map(|link| fs::read_link(link.path())).map(|file| file.display().to_string()).collect()
}

#[test]
fn a_message_names_what_to_install_if_the_audio_program_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("snd-host");
    fs::copy(crate::support::PROGRAM, &program).unwrap();
    let socket = directory.path().join("socket");
    let output = std::process::Command::new(program).arg("--socket").arg(&socket).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && !socket.exists());
    assert!(said.contains("install it beside snd-host"), "{said}");
}
