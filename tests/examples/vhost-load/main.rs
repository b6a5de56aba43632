//! A VMM with a guest that writes and reads a disk, and compares each sector that it reads.
//!
//! `vhost-load SOCKET QUEUES split|packed REQUESTS [MODE]` makes at least this number of requests.
//! Then it pauses the queues, and reads all sectors. The program reconnects if isolation-host is
//! gone, and writes the number of completed requests to the file SOCKET.done. A MODE adds to this:
//!
//! - `until FILE`: the program continues until the file exists.
//! - `pause`: the program makes SOCKET.idle before it pauses, waits for SOCKET.go, and makes
//!   SOCKET.paused when the queues are stopped.
//! - `late`: the last of at least two queues is started after the requests. The program makes
//!   SOCKET.idle before, waits for SOCKET.go, and makes SOCKET.late when the queue is started. The
//!   requests that the other queues got in between are in flight if the disk is stopped. As many
//!   requests follow.
//! - `move SOCKET…`: the guest migrates to each socket in turn. Each migration makes REQUESTS more
//!   with each of its two logs, and REQUESTS more after it has arrived.

mod guest;
mod load;
mod migration;
mod mirror;
mod ram;
mod vmm;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use guest::Guest;
use ring_core::Features;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("vhost-load: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What the program does apart from requests, a pause and the comparison of all sectors.
enum Mode {
    Plain,
    Until(PathBuf),
    Pause,
    Late,
    Move(Vec<PathBuf>),
}

fn mode(words: &[String]) -> Option<Mode> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Some(match &words[..] {
        [] => Mode::Plain,
        ["until", file] => Mode::Until(file.into()),
        ["pause"] => Mode::Pause,
        ["late"] => Mode::Late,
        ["move", _, ..] => Mode::Move(words.iter().skip(1).map(PathBuf::from).collect()),
        _ => return None,
    })
}

fn run() -> Result<(), Box<dyn Error>> {
    const USAGE: &str = "usage: vhost-load SOCKET QUEUES split|packed REQUESTS \
         [until FILE | pause | late | move SOCKET…]";
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [socket, queues, format, requests, words @ ..] = &arguments[..] else { return Err(USAGE.into()) };
    let (count, requests): (u32, u64) = (queues.parse()?, requests.parse()?);
    let mode = mode(words).ok_or(USAGE)?;
    let packed = if format == "packed" { Features::RING_PACKED } else { Features::empty() };
    let features = Features::VERSION_1 | Features::EVENT_IDX | packed;
    let late = u32::from(matches!(mode, Mode::Late));
    if count <= late {
        return Err(format!("{count} queues are too few; give at least {}", late + 1).into());
    }
    let mut guest = Guest::start(socket, features, count, count - late)?;
    guest.load(|done| done >= requests)?;
    match &mode {
        Mode::Plain | Mode::Pause => {}
        Mode::Until(file) => guest.load(|_| file.exists())?,
        Mode::Late => {
            guest.start_late()?;
            guest.load_more(requests)?;
        }
        Mode::Move(sockets) => {
            for socket in sockets {
                guest.migrate(socket, requests)?;
                guest.load_more(requests)?;
            }
        }
    }
    guest.drain()?;
    guest.pause(matches!(mode, Mode::Pause))?;
    guest.check()?;
    let (done, reconnections) = (guest.completed(), guest.reconnections());
    println!("vhost-load: {done} requests and all sectors are correct, {reconnections} reconnections");
    Ok(())
}
