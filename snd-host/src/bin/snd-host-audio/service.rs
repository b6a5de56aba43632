//! What the audio process does for the card process.

use std::collections::HashMap;
use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd as _;
use std::sync::{Arc, Weak};

use snd_host::wire::{
    CaptureWriter, Channel, Direction, Opening, Order, PlaybackReader, Report, TakeId, Usage,
};
use snd_host::{Args, Writable, end_on_panic, end_with_card, enter_sandbox};
use tracing::{debug, warn};

use crate::host::{Host, HostConfig};
use crate::wakeup::Wakeup;

type ToCard = Channel<Report, Order>;

/// Serves the card process at standard input until it ends.
pub(crate) fn serve(args: &Args) -> Result<(), Box<dyn Error>> {
    end_on_panic();
    end_with_card()?;
    let channel = Arc::new(ToCard::from(io::stdin().as_fd().try_clone_to_owned()?));
    let Some(doorbell) = hello(&channel)? else {
        return Err("snd-host-audio and snd-host differ in version; install both from one release".into());
    };
    let host = match prepare(args) {
        Ok(host) => host,
        Err(error) => {
            channel.send_with_text(&Report::Refused, &error.to_string())?;
            return Ok(());
        }
    };
    channel.send(&Report::Ready)?;
    let service = Service { channel, host, doorbell: Arc::new(doorbell), takes: HashMap::new() };
    service.run()
}

/// Receives the first message, and returns the doorbell. `None` if the card process sends another
/// message.
fn hello(channel: &ToCard) -> io::Result<Option<File>> {
    let received = channel.receive()?;
    Ok(received.and_then(|received| match (received.message, received.file) {
        (Some(Order::Hello), Some(doorbell)) => Some(doorbell),
        _ => None,
    }))
}

/// Checks the sink and the source, and enters the sandbox.
fn prepare(args: &Args) -> Result<Arc<Host>, Box<dyn Error>> {
    let host = Host::new(HostConfig::of(args))?;
    if !args.no_sandbox {
        enter_sandbox(&Writable { given: &args.writable })?;
    }
    Ok(host)
}

/// The takes of the card process.
struct Service {
    channel: Arc<ToCard>,
    host: Arc<Host>,
    doorbell: Arc<File>,
    takes: HashMap<TakeId, Weak<Wakeup>>,
}

impl Service {
    /// Handles messages until the card process ends.
    fn run(mut self) -> Result<(), Box<dyn Error>> {
        while let Some(received) = self.channel.receive()? {
            match received.message {
                Some(Order::Open(opening)) => {
                    if let Err(error) = self.open(opening, received.file) {
                        warn!("cannot open a take: {error}");
                        self.channel.send(&Report::Ended(opening.take))?;
                    }
                }
                Some(Order::Wake(take)) => {
                    if let Some(wakeup) = self.takes.get(&take).and_then(Weak::upgrade) {
                        wakeup.wake();
                    }
                }
                Some(Order::Probe) => self.host.probe(),
                Some(Order::Ask) => self.channel.send(&Report::Alive(self.usage()))?,
                Some(Order::Hello) | None => debug!("a message that is not expected"),
            }
        }
        Ok(())
    }

    /// Starts the thread of a take, whose shared area is in `file`.
    fn open(&mut self, opening: Opening, file: Option<File>) -> io::Result<()> {
        let file = file.ok_or(io::ErrorKind::InvalidInput)?;
        let wakeup = Arc::new(Wakeup::default());
        self.takes.retain(|_, wakeup| wakeup.strong_count() > 0);
        self.takes.insert(opening.take, Arc::downgrade(&wakeup));
        let channel = self.channel.clone();
        let ended = move || {
            // Fails if the card process has ended, or does not read, and then replaces this one.
            let _ = channel.send(&Report::Ended(opening.take));
        };
        match opening.direction {
            Direction::Play => {
                let reader = PlaybackReader::open(file, &opening.params)?;
                self.host.play(opening, reader, wakeup, ended)
            }
            Direction::Record => {
                let writer = CaptureWriter::open(file, &opening.params)?;
                let doorbell = self.doorbell.clone();
                let audio = move || {
                    // Fails only if the counter is at its maximum.
                    let _ = rustix::io::write(&*doorbell, &1u64.to_ne_bytes());
                };
                self.host.record(opening, writer, wakeup, audio, ended)
            }
        }
    }

    fn usage(&self) -> Usage {
        let count = |directory: &str| {
            let entries = fs::read_dir(directory).map_or(0, Iterator::count);
            u32::try_from(entries).unwrap_or(u32::MAX)
        };
        let busy = self.takes.values().filter_map(Weak::upgrade).map(|wakeup| wakeup.busy_for()).max();
        let busy_ms = u32::try_from(busy.unwrap_or_default().as_millis()).unwrap_or(u32::MAX);
        Usage { threads: count("/proc/self/task"), files: count("/proc/self/fd"), busy_ms }
    }
}
