//! What has to be opened before the process enters the sandbox.

use std::os::unix::net::UnixStream;

use signal_hook::consts::SIGUSR1;
use signal_hook::low_level::pipe;

use crate::control::{HostError, Options};
use crate::endpoint::{Connector, Endpoint};

/// The open sockets of the process.
#[derive(Debug)]
pub struct Sockets {
    pub(super) vmm: Connector,
    pub(super) device: Connector,
    /// Receives a byte for each SIGUSR1.
    pub(super) signals: UnixStream,
}

impl Sockets {
    /// Opens both endpoints and installs the handler of SIGUSR1.
    ///
    /// # Errors
    ///
    /// [`HostError`] if an endpoint cannot be opened.
    pub fn open(options: &Options) -> Result<Self, HostError> {
        let open = |endpoint: &Endpoint| {
            Connector::open(endpoint).map_err(|source| HostError::Open { endpoint: endpoint.clone(), source })
        };
        let (vmm, device) = (open(&options.vmm)?, open(&options.device)?);
        let (signals, sender) = UnixStream::pair().map_err(HostError::Poll)?;
        signals.set_nonblocking(true).map_err(HostError::Poll)?;
        pipe::register(SIGUSR1, sender).map_err(HostError::Poll)?;
        Ok(Self { vmm, device, signals })
    }
}
