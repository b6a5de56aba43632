//! Listening, and serving one front-end after the other.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::{info, warn};
use vhost::vhost_user::{Error as ProtocolError, Listener};
use vhost_user_backend::{Error as DaemonError, VhostUserDaemon};
use vm_memory::{GuestMemoryAtomic, GuestMemoryMmap};
use vmm_sys_util::epoll::EventSet;

use super::args::Args;
use super::listen::{ListenError, Socket};
use super::sandbox::{self, SandboxError, Writable};
use super::signals::{Session, Signals};
use crate::audio::{Audio, AudioError};
use crate::card::Topology;
use crate::options::RingFormat;
use crate::vhost_user::{Backend, WAKE_EVENT};

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
    let topology = Topology { streams: args.streams, controls: args.controls };
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
        session(&mut listener, &signals, args.ring, &audio, topology)?;
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
    topology: Topology,
) -> Result<(), ServeError> {
    let backend = Backend::new(audio.clone(), topology, ring)?;
    let wakers = backend.device().wakers();
    let backend = Arc::new(Mutex::new(backend));
    let memory = GuestMemoryAtomic::new(GuestMemoryMmap::new());
    let mut daemon =
        VhostUserDaemon::new("session".into(), backend.clone(), memory).map_err(ServeError::Session)?;
    for handler in daemon.get_epoll_handlers() {
        for waker in wakers {
            handler.register_listener(waker, EventSet::IN, u64::from(WAKE_EVENT))?;
        }
    }
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
    // Ends the event loop as well. Its own way of ending leaks a file for each session.
    backend.lock().unwrap_or_else(PoisonError::into_inner).end();
    Ok(())
}
