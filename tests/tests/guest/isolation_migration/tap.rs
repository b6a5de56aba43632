//! Listens in between isolation-host and its device: what the device is asked is noted, what it can may be hidden.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use isolation_host::protocol::features::{LOG_ALL, protocol};
use isolation_host::protocol::{Channel, Message, Request};
use rustix::event::{PollFd, PollFlags, poll};

/// A place in between.
#[derive(Debug)]
pub(super) struct Tap {
    socket: PathBuf,
    notes: Arc<Mutex<Notes>>,
}

/// What was said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Notes {
    /// Requests that the device was sent.
    pub(super) requests: Vec<Request>,
    /// All virtio features that it offers, whether they were hidden or not.
    pub(super) offered: u64,
    /// All virtio features that it was ever asked for.
    pub(super) asked: u64,
}

/// Whether the device's dirty log is hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Log {
    Shown,
    Hidden,
}

impl Tap {
    /// A place in front of a device.
    pub(super) fn new(device: &Path, log: Log) -> io::Result<Self> {
        let socket = device.with_extension("tap");
        let listener = UnixListener::bind(&socket)?;
        let (device, notes) = (device.to_owned(), Arc::<Mutex<Notes>>::default());
        let tap = Self { socket, notes: Arc::clone(&notes) };
        // It ends with the test.
        thread::spawn(move || {
            for front in listener.incoming() {
                // Either end may hang up at any time, and so does the other one then.
                let _ = front.and_then(|front| relay(front, UnixStream::connect(&device)?, log, &notes));
            }
        });
        Ok(tap)
    }

    /// Where the device seems to be.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// What was said so far.
    pub(super) fn notes(&self) -> Notes {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn relay(front: UnixStream, device: UnixStream, log: Log, notes: &Mutex<Notes>) -> io::Result<()> {
    let [mut front, mut device] = [front, device].map(|stream| Channel::new(stream.into()));
    loop {
        poll(&mut [PollFd::new(&front, PollFlags::IN), PollFd::new(&device, PollFlags::IN)], None)?;
        while let Some(request) = front.receive().map_err(io::Error::other)? {
            let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
            notes.requests.extend(Request::try_from(request.request));
            if request.request == Request::SetFeatures as u32 {
                notes.asked |= request.body::<u64>().map_err(io::Error::other)?;
            }
            device.send(&request).map_err(io::Error::other)?;
        }
        while let Some(answer) = device.receive().map_err(io::Error::other)? {
            front.send(&seen(answer, log, notes)?).map_err(io::Error::other)?;
        }
    }
}

/// An answer as isolation-host is to see it.
fn seen(answer: Message, log: Log, notes: &Mutex<Notes>) -> io::Result<Message> {
    let hidden = match Request::try_from(answer.request) {
        Ok(Request::GetFeatures) => LOG_ALL,
        Ok(Request::GetProtocolFeatures) => protocol::LOG_SHMFD,
        _ => return Ok(answer),
    };
    let offered: u64 = answer.body().map_err(io::Error::other)?;
    if answer.request == Request::GetFeatures as u32 {
        notes.lock().unwrap_or_else(PoisonError::into_inner).offered = offered;
    }
    let shown = if log == Log::Hidden { offered & !hidden } else { offered };
    Ok(answer.reply(&shown))
}
