//! Listening, and serving one front-end after the other.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::{info, warn};
use vhost::vhost_user::{Error as ProtocolError, Listener};
use vhost_user_backend::{Error as DaemonError, VhostUserDaemon};
use vm_memory::{GuestMemoryAtomic, GuestMemoryMmap};
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use crate::args::{Args, RingFormat};
use crate::audio::{Audio, AudioError};
use crate::backend::{Backend, END_EVENT, WAKE_EVENT};
use crate::layout::Layout;
use crate::listen::{ListenError, Socket};
use crate::sandbox::{self, SandboxError, Writable};
use crate::signals::{Session, Signals};

/// How long this process waits at its end for what is still playing.
const LAST_NOTES: Duration = Duration::from_secs(3);

/// Why snd-host cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// There is nothing to play to or to record from.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// There is nothing to listen on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The sandbox cannot be entered.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The session cannot be set up.
    #[error("cannot set up a session: {0}")]
    Session(DaemonError),
    /// The system refuses something.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// Serves until the process is asked to end.
///
/// # Errors
///
/// [`ServeError`] if that cannot begin, or cannot go on. What a front-end or a guest does is no reason.
pub fn serve(args: &Args) -> Result<(), ServeError> {
    let audio = Audio::new(&args.sink, &args.source, Duration::from_millis(args.latency.into()))?;
    let layout = Layout { streams: args.streams, controls: args.controls };
    let socket = Socket::open(args)?;
    if args.no_sandbox {
        warn!("not sandboxed");
    } else {
        sandbox::enter(&Writable { given: &args.writable, socket: socket.path() })?;
    }
    let signals = Signals::handle()?;
    let mut listener = Listener::from(socket.listener().try_clone()?);
    match socket.path() {
        Some(path) => info!("listening on {}", path.display()),
        None => info!("listening on the socket that was handed over"),
    }
    while signals.wait_for(socket.listener())? {
        session(&mut listener, &signals, args.ring, &audio, layout)?;
    }
    audio.finish(LAST_NOTES);
    Ok(())
}

/// Serves one front-end, from its connection to its end.
fn session(
    listener: &mut Listener,
    signals: &Signals,
    ring: RingFormat,
    audio: &Arc<Audio>,
    layout: Layout,
) -> Result<(), ServeError> {
    let backend = Backend::new(audio.clone(), layout, ring)?;
    let wakers = backend.device().wakers();
    let backend = Arc::new(Mutex::new(backend));
    let memory = GuestMemoryAtomic::new(GuestMemoryMmap::new());
    // Lives longer than the event loop that waits for it.
    let end = EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC)?;
    let mut daemon =
        VhostUserDaemon::new("session".into(), backend.clone(), memory).map_err(ServeError::Session)?;
    let listen = |fd, event| {
        daemon
            .get_epoll_handlers()
            .iter()
            .try_for_each(|handler| handler.register_listener(fd, EventSet::IN, u64::from(event)))
    };
    for waker in wakers {
        listen(waker, WAKE_EVENT)?;
    }
    listen(end.as_raw_fd(), END_EVENT)?;
    daemon.start(listener).map_err(ServeError::Session)?;
    info!("a front-end has connected");
    let session = daemon.shutdown_handle().map(|connection| Session { connection, backend: backend.clone() });
    signals.watch(session);
    match daemon.wait() {
        Ok(())
        | Err(DaemonError::HandleRequest(ProtocolError::Disconnected | ProtocolError::PartialMessage)) => {
            info!("the front-end has gone");
        }
        Err(error) => warn!("the session has ended: {error}"),
    }
    signals.watch(None);
    // Ends the event loop. Its own way of ending leaks a file for each session.
    end.write(1)?;
    backend.lock().unwrap_or_else(PoisonError::into_inner).end();
    Ok(())
}
