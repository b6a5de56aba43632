//! The main loop: listens, and serves one front-end after another.

use std::env;
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
use super::sandbox::{self, SandboxError};
use super::signals::{Session, Signals};
use super::{close_on_exec, fatal, fault};
use crate::audio::{AudioError, HostAudio, Launcher};
use crate::card::Topology;
use crate::options::RingFormat;
use crate::vhost_user::Backend;

/// How long the process waits at its end for audio that is still being played.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// The error that ends snd-host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The audio process cannot be started, or cannot use the sink or the source.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// There is no socket to listen on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The sandbox cannot be entered.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A session cannot be set up.
    #[error("cannot set up a session: {0}")]
    Session(DaemonError),
    /// A system call has failed.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// Serves front-ends until a signal ends the process.
///
/// # Errors
///
/// Fails if the daemon cannot start, or a session cannot be set up. A front-end or a guest cannot
/// cause an error.
pub fn serve(args: &Args) -> Result<(), ServeError> {
    fatal::end_on_panic();
    fault::end_on_fault()?;
    close_on_exec::all()?;
    let launcher = Launcher::start(&args.log, env::args_os().skip(1)).map_err(AudioError::from)?;
    let audio = HostAudio::start(args.audio(), launcher)?;
    if args.source.is_none() && args.streams.inputs > 0 {
        info!("the microphone is off: guests record silence; --source turns it on");
    }
    let topology = Topology { streams: args.streams, controls: args.controls };
    let socket = Socket::open(args)?;
    if args.no_sandbox {
        warn!("not sandboxed");
    } else {
        sandbox::enter_card(socket.path())?;
    }
    let signals = Signals::handle()?;
    let mut listener = Listener::from(socket.listener().try_clone()?);
    match socket.path() {
        Some(path) => info!("listening on {}", path.display()),
        None => info!("listening on the inherited socket"),
    }
    info!("{}", audio.realtime());
    audio.watch(|| fatal::end("ended, because the launcher of the audio process has ended"))?;
    while signals.wait_for(socket.listener())? {
        session(&mut listener, &signals, args.ring, &audio, topology)?;
    }
    audio.finish(DRAIN_TIMEOUT);
    Ok(())
}

/// Serves one front-end from its connection to its end.
fn session(
    listener: &mut Listener,
    signals: &Signals,
    ring: RingFormat,
    audio: &Arc<HostAudio>,
    topology: Topology,
) -> Result<(), ServeError> {
    let backend = Backend::new(audio.clone(), topology, ring)?;
    let (wakers, wake_event) = (backend.device().wakers(), backend.device().wake_event());
    let backend = Arc::new(Mutex::new(backend));
    let memory = GuestMemoryAtomic::new(GuestMemoryMmap::new());
    let mut daemon =
        VhostUserDaemon::new("session".into(), backend.clone(), memory).map_err(ServeError::Session)?;
    for handler in daemon.get_epoll_handlers() {
        for waker in wakers {
            handler.register_listener(waker, EventSet::IN, wake_event)?;
        }
        if let Some(doorbell) = audio.doorbell() {
            handler.register_listener(doorbell, EventSet::IN | EventSet::EDGE_TRIGGERED, wake_event)?;
        }
    }
    daemon.start(listener).map_err(ServeError::Session)?;
    info!("front-end connected");
    let session = daemon.shutdown_handle().map(|connection| Session { connection, backend: backend.clone() });
    signals.set_session(session);
    match daemon.wait() {
        Ok(())
        | Err(DaemonError::HandleRequest(ProtocolError::Disconnected | ProtocolError::PartialMessage)) => {
            info!("front-end disconnected");
        }
        Err(error) => warn!("session ended: {error}"),
    }
    signals.set_session(None);
    // Also ends the event loop. An `exit_event` would leak a file descriptor per session.
    backend.lock().unwrap_or_else(PoisonError::into_inner).end();
    Ok(())
}
