//! What the card, QEMU and the sound server use.

use std::io;
use std::time::{Duration, Instant};

use end_to_end::audio_process::{audio_process, launcher};

use crate::processes::{Counters, private_kib};

/// The counters of the card's daemon, of QEMU without its virtual processors, and of the sound
/// server, at a time.
#[derive(Debug)]
pub(crate) struct Sample {
    at: Instant,
    parts: [Part; 3],
}

#[derive(Debug, Clone, Copy, Default)]
struct Part {
    counters: Counters,
    private_kib: u64,
}

/// What is used in a span of time.
#[derive(Debug)]
pub(crate) struct Cost {
    span: Duration,
    /// The daemon, QEMU, and the sound server.
    parts: [Part; 3],
}

impl Sample {
    /// Reads the counters of the daemon, if there is one, QEMU and the sound server.
    pub(crate) fn take(daemon: Option<u32>, qemu: u32, server: u32) -> io::Result<Self> {
        // snd-host has three processes.
        let others = daemon.map(|card| [launcher(card), audio_process(card)]);
        let daemon = daemon.into_iter().chain(others.into_iter().flatten().flatten());
        let parts = [
            part(daemon, |_| true)?,
            // "CPU 0/TCG" runs the guest.
            part([qemu], |thread| !thread.starts_with("CPU "))?,
            part([server], |_| true)?,
        ];
        Ok(Self { at: Instant::now(), parts })
    }

    /// Returns what was used since an earlier sample, and the memory now.
    pub(crate) fn since(&self, earlier: &Self) -> Cost {
        let mut parts = self.parts;
        for (part, before) in parts.iter_mut().zip(&earlier.parts) {
            part.counters.wakes = part.counters.wakes.saturating_sub(before.counters.wakes);
            part.counters.nanos = part.counters.nanos.saturating_sub(before.counters.nanos);
        }
        Cost { span: self.at - earlier.at, parts }
    }
}

fn part(processes: impl IntoIterator<Item = u32>, counts: impl Fn(&str) -> bool + Copy) -> io::Result<Part> {
    let mut part = Part::default();
    for process in processes {
        part.counters.add(process, counts)?;
        part.private_kib += private_kib(process)?;
    }
    Ok(part)
}

impl Cost {
    /// Returns the columns of a row of the table.
    fn columns(&self) -> String {
        let seconds = self.span.as_secs_f64();
        let column = |part: &Part| {
            let Counters { wakes, nanos } = part.counters;
            // The counters of 10 seconds are exact in floating point.
            let (wakes, busy) = (wakes as f64 / seconds, nanos as f64 / 1e7 / seconds);
            format!("{wakes:.0} | {busy:.1} % | {:.1} MiB", part.private_kib as f64 / 1024.0)
        };
        self.parts.each_ref().map(column).join(" | ")
    }
}

/// Prints the costs of each card as a table.
pub(crate) fn print(rows: &[(&str, Cost, Cost)]) {
    let parts = ["card's daemon", "QEMU", "sound server"];
    let columns = parts.map(|part| format!("{part}: wake-ups a second | processor | private memory"));
    println!("| card | guest | {} |", columns.join(" | "));
    println!("| --- | --- {}|", "| ---: ".repeat(9));
    for (card, idle, playing) in rows {
        println!("| {card} | idle | {} |", idle.columns());
        println!("| {card} | plays | {} |", playing.columns());
    }
}
