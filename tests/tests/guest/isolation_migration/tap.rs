//! A relay between isolation-host and its device that records requests and may hide features.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use isolation_host::protocol::features::{LOG_ALL, protocol};
use isolation_host::protocol::{Channel, Message, Request};
use rustix::event::{PollFd, PollFlags, poll};

/// A relay in front of a device.
#[derive(Debug)]
pub(super) struct Tap {
    socket: PathBuf,
    seen: Arc<Mutex<Seen>>,
}

/// The messages that passed through a relay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The requests to the device.
    pub(super) requests: Vec<Request>,
    /// All VIRTIO features that the device offers, including hidden ones.
    pub(super) offered: u64,
    /// All VIRTIO features that were requested from the device.
    pub(super) asked: u64,
}

/// Whether the relay hides the features of the device's dirty log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Log {
    Shown,
    Hidden,
}

impl Tap {
    /// Starts a relay in front of the device at a socket.
    pub(super) fn new(device: &Path, log: Log) -> io::Result<Self> {
        let socket = device.with_extension("tap");
        let listener = UnixListener::bind(&socket)?;
        let (device, seen) = (device.to_owned(), Arc::<Mutex<Seen>>::default());
        let tap = Self { socket, seen: Arc::clone(&seen) };
        // The thread ends with the test.
        thread::spawn(move || {
            for front in listener.incoming() {
                // Either end may disconnect at any time. The relay then disconnects from the other
                // end.
                let _ = front.and_then(|front| relay(front, UnixStream::connect(&device)?, log, &seen));
            }
        });
        Ok(tap)
    }

    /// Returns the socket of the relay.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Returns the messages that have passed so far.
    pub(super) fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Relays messages between a front-end and the device until either end disconnects.
fn relay(front: UnixStream, device: UnixStream, log: Log, seen: &Mutex<Seen>) -> io::Result<()> {
    let [mut front, mut device] = [front, device].map(|stream| Channel::new(stream.into()));
    loop {
        poll(&mut [PollFd::new(&front, PollFlags::IN), PollFd::new(&device, PollFlags::IN)], None)?;
        while let Some(request) = front.receive().map_err(io::Error::other)? {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.requests.extend(Request::try_from(request.request));
            if request.request == Request::SetFeatures as u32 {
                seen.asked |= request.body::<u64>().map_err(io::Error::other)?;
            }
            device.send(&request).map_err(io::Error::other)?;
        }
        while let Some(answer) = device.receive().map_err(io::Error::other)? {
            front.send(&filtered(answer, log, seen)?).map_err(io::Error::other)?;
        }
    }
}

/// Returns the device's answer without the hidden features.
fn filtered(answer: Message, log: Log, seen: &Mutex<Seen>) -> io::Result<Message> {
    let hidden = match Request::try_from(answer.request) {
        Ok(Request::GetFeatures) => LOG_ALL,
        Ok(Request::GetProtocolFeatures) => protocol::LOG_SHMFD,
        _ => return Ok(answer),
    };
    let offered: u64 = answer.body().map_err(io::Error::other)?;
    if answer.request == Request::GetFeatures as u32 {
        seen.lock().unwrap_or_else(PoisonError::into_inner).offered = offered;
    }
    let shown = if log == Log::Hidden { offered & !hidden } else { offered };
    Ok(answer.reply(&shown))
}
