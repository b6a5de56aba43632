//! What has to be opened before the process enters the sandbox.

use std::os::unix::net::UnixStream;
use std::time::Instant;

use signal_hook::consts::SIGUSR1;
use signal_hook::low_level::pipe;

use crate::control::{HostError, Options};
use crate::device_link::LinkType;
use crate::device_type::DeviceType;
use crate::endpoint::{Connector, Endpoint};
use crate::metrics::{ReportSocket, Server};
use crate::sandbox::SandboxError;
use crate::service_manager::ServiceManager;
use crate::vdpa::Facts;

/// The size of the isolated area for each queue of a vDPA device, unless the operator chooses one.
///
/// The area is in locked memory, whether it is used or not.
const AREA_OF_QUEUE: u64 = 16 << 20;

/// The open sockets of the process.
#[derive(Debug)]
pub struct Sockets {
    pub(super) vmm: Connector,
    pub(super) device: Connector,
    /// Receives a byte for each SIGUSR1.
    pub(super) signals: UnixStream,
    pub(super) reports: Server,
    pub(super) service_manager: ServiceManager,
}

impl Sockets {
    /// Opens both endpoints and installs the handler of SIGUSR1. Completes the options by what a
    /// vDPA device is.
    ///
    /// # Errors
    ///
    /// [`HostError`] if an endpoint cannot be opened, or a vDPA device cannot be used.
    pub fn open(options: &mut Options) -> Result<Self, HostError> {
        let open = |endpoint: &Endpoint| {
            Connector::open(endpoint).map_err(|source| HostError::Open { endpoint: endpoint.clone(), source })
        };
        let (mut vmm, mut device) = (open(&options.vmm)?, open(&options.device)?);
        if vmm.vdpa_mut().is_some() {
            return Err(HostError::NoVmm(options.vmm.clone()));
        }
        if let Some(link) = device.vdpa_mut() {
            complete(options, link.facts())?;
            link.try_area(options.area_size)?;
        }
        let mut reports = Server::new().map_err(HostError::Poll)?;
        let opened = |socket: &ReportSocket| {
            let endpoint = socket.endpoint();
            move |source| HostError::Open { endpoint, source }
        };
        if let Some(socket) = &options.control {
            reports.listen_for_json(socket).map_err(opened(socket))?;
        }
        if let Some(socket) = &options.metrics {
            reports.listen_for_prometheus(socket).map_err(opened(socket))?;
        }
        let service_manager = ServiceManager::from_environment(Instant::now());
        let (signals, sender) = UnixStream::pair().map_err(HostError::Poll)?;
        signals.set_nonblocking(true).map_err(HostError::Poll)?;
        pipe::register(SIGUSR1, sender).map_err(HostError::Poll)?;
        Ok(Self { vmm, device, signals, reports, service_manager })
    }

    /// Starts the thread of a vDPA device, which calls `enter_sandbox` first.
    ///
    /// # Errors
    ///
    /// [`HostError::Vdpa`] if the thread does not start or cannot enter the sandbox.
    pub fn start_vdpa(
        &mut self,
        enter_sandbox: impl FnOnce() -> Result<(), SandboxError> + Send + 'static,
    ) -> Result<(), HostError> {
        match self.device.vdpa_mut() {
            Some(link) => Ok(link.start(enter_sandbox)?),
            None => Ok(()),
        }
    }
}

/// Completes the options by what a vDPA device is.
fn complete(options: &mut Options, facts: Facts) -> Result<(), HostError> {
    let (found, chosen) = (facts.device_type, options.device_type);
    if chosen != DeviceType::Generic && chosen != found {
        return Err(HostError::DeviceType { found, chosen });
    }
    options.device_type = found;
    options.link = LinkType::Vdpa { ring_limit: facts.ring_limit };
    if !options.area_chosen {
        let queues = facts.queues.min(options.queues);
        options.area_size = options.area_size.min(AREA_OF_QUEUE * u64::from(queues.max(1)));
    }
    Ok(())
}
