//! Finding a device: connecting to it, rejecting it, and trying again.

use std::io;
use std::thread;
use std::time::Instant;

use thiserror::Error;

use super::HostError;
use super::reconnect::Reconnect;
use crate::device_link::{Budget, DeviceLink, Handshake, LinkError};
use crate::endpoint::{Connector, Endpoint};
use crate::error_chain::ErrorChain;
use crate::negotiation::{self, NegotiationError, RingChoice};
use crate::protocol::Channel;

/// A device that cannot be used.
#[derive(Debug, Error)]
pub(super) enum AdoptError {
    /// The device does not complete the handshake.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The device offers too little.
    #[error(transparent)]
    Features(#[from] NegotiationError),
    /// The system does not let the process wait for the device.
    #[error("cannot wait for the device")]
    Poll(#[source] io::Error),
}

/// How and when to connect to a device.
#[derive(Debug)]
pub(super) struct Seeker {
    connector: Connector,
    endpoint: Endpoint,
    /// Whether the reason why the device cannot be reached was logged. It is logged once.
    unreachable: bool,
    pub(super) reconnect: Reconnect,
}

impl Seeker {
    pub(super) fn new(connector: Connector, endpoint: Endpoint) -> Self {
        Self { connector, endpoint, unreachable: false, reconnect: Reconnect::default() }
    }

    /// Waits for the first device, which determines how many queues there are.
    ///
    /// Devices that cannot be used are rejected as later ones are.
    pub(super) fn meet_first(&mut self, ring: RingChoice, budget: Budget) -> Result<DeviceLink, HostError> {
        let mut waiting = false;
        loop {
            match self.connect()?.map(|channel| meet(channel, ring, budget)) {
                Some(Ok(link)) => return Ok(link),
                Some(Err(error)) => self.reject(&error),
                None if waiting => {}
                None => {
                    tracing::info!("waiting for a device at {}", self.endpoint);
                    waiting = true;
                }
            }
            if let Some(next) = self.reconnect.deadline() {
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        }
    }

    /// Connects to a device, or decides when to try again.
    ///
    /// # Errors
    ///
    /// [`HostError::NoPeer`] if there will never be a connection.
    pub(super) fn connect(&mut self) -> Result<Option<Channel>, HostError> {
        self.reconnect.cancel();
        match self.connector.connect() {
            Ok(Some(channel)) => {
                self.unreachable = false;
                return Ok(Some(channel));
            }
            Ok(None) => {}
            Err(source) if self.connector.is_exhausted() => {
                return Err(HostError::NoPeer { endpoint: self.endpoint.clone(), source });
            }
            // The socket may exist before its permissions allow a connection.
            Err(error) => {
                if !std::mem::replace(&mut self.unreachable, true) {
                    tracing::warn!("cannot connect to the device at {}: {error}", self.endpoint);
                }
            }
        }
        self.reconnect.soon();
        Ok(None)
    }

    /// Logs why a device is not used, and decides when to try again.
    pub(super) fn reject(&mut self, error: &AdoptError) {
        tracing::warn!("rejecting a device: {}", ErrorChain(error));
        self.reconnect.after_loss(Instant::now());
    }
}

/// Performs the handshake with a device, and waits for its replies.
fn meet(channel: Channel, ring: RingChoice, budget: Budget) -> Result<DeviceLink, AdoptError> {
    let link = Handshake::new(channel)?.wait(budget)?;
    negotiation::ask(link.features, 0, ring)?;
    Ok(link)
}
