//! What the queues are configured to be, until all of them are started.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use super::error::VdpaError;
use crate::protocol::payload::{VringAddr, VringFd, VringState};
use crate::protocol::{Message, Request};

/// The configuration of a queue.
#[derive(Debug, Default)]
pub(super) struct Vring {
    pub(super) size: u32,
    pub(super) base: u32,
    pub(super) areas: VringAddr,
    /// The notification of the device. A queue with a kick is started.
    pub(super) kick: Option<OwnedFd>,
    pub(super) call: Option<OwnedFd>,
    enabled: bool,
}

/// The configurations of all queues.
#[derive(Debug, Default)]
pub(super) struct Vrings {
    vrings: BTreeMap<u32, Vring>,
    /// The number of queues of the device.
    queues: u16,
}

impl Vrings {
    pub(super) const fn new(queues: u16) -> Self {
        Self { vrings: BTreeMap::new(), queues }
    }

    /// Returns the started queues.
    pub(super) fn started(&self) -> impl Iterator<Item = (u32, &Vring)> + Clone {
        self.vrings.iter().filter(|(_, vring)| vring.kick.is_some()).map(|(index, vring)| (*index, vring))
    }

    /// Returns whether there is a queue that the device has to serve.
    pub(super) fn has_enabled(&self) -> bool {
        self.started().any(|(_, vring)| vring.enabled)
    }

    /// Forgets all queues.
    pub(super) fn clear(&mut self) {
        self.vrings.clear();
    }

    /// Stops a queue. Returns the position at which its next ring begins, as a vring base.
    pub(super) fn stop(&mut self, index: u32, packed: bool) -> VringState {
        self.vrings.remove(&index);
        // A device that was reset begins at the start of a ring, whatever was there before
        // (VIRTIO 1.4, 2.8.1 "Driver and Device Ring Wrap Counters").
        VringState { index, num: if packed { 0x8000_8000 } else { 0 } }
    }

    /// Applies a message about a queue. Returns the queue if the message starts it.
    pub(super) fn configure(
        &mut self,
        request: Request,
        message: &mut Message,
    ) -> Result<Option<u32>, VdpaError> {
        match request {
            Request::SetVringNum | Request::SetVringBase | Request::SetVringEnable => {
                let VringState { index, num } = body(message)?;
                let vring = self.vring(index)?;
                match request {
                    Request::SetVringNum => vring.size = num,
                    Request::SetVringBase => vring.base = num,
                    _ => vring.enabled = num != 0,
                }
                Ok(None)
            }
            Request::SetVringAddr => {
                let areas: VringAddr = body(message)?;
                self.vring(areas.index)?.areas = areas;
                Ok(None)
            }
            _ => {
                let number = VringFd(body(message)?);
                let index = u32::try_from(number.index()).map_err(|_| VdpaError::Message)?;
                let fd = message.take_fd().map_err(|_| VdpaError::Message)?;
                let vring = self.vring(index)?;
                if request == Request::SetVringCall {
                    vring.call = Some(fd);
                    return Ok(None);
                }
                vring.kick = Some(fd);
                Ok(Some(index))
            }
        }
    }

    fn vring(&mut self, index: u32) -> Result<&mut Vring, VdpaError> {
        if index < self.queues.into() {
            Ok(self.vrings.entry(index).or_default())
        } else {
            Err(VdpaError::Message)
        }
    }
}

/// Returns the payload of a message as a structure.
fn body<T: zerocopy::FromBytes>(message: &Message) -> Result<T, VdpaError> {
    message.body().map_err(|_| VdpaError::Message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configure(
        vrings: &mut Vrings,
        request: Request,
        index: u32,
        num: u32,
    ) -> Result<Option<u32>, VdpaError> {
        let fd = request == Request::SetVringKick;
        let mut message = if fd {
            let file = std::fs::File::open("/dev/null").unwrap().into();
            Message::request(request, &u64::from(index)).with_fd(file)
        } else {
            Message::request(request, &VringState { index, num })
        };
        vrings.configure(request, &mut message)
    }

    #[test]
    fn a_queue_is_started_by_its_kick_and_begins_at_the_start_after_a_stop() {
        let mut vrings = Vrings::new(2);
        assert!(matches!(configure(&mut vrings, Request::SetVringEnable, 1, 1), Ok(None)));
        assert!(!vrings.has_enabled());
        assert!(matches!(configure(&mut vrings, Request::SetVringKick, 1, 0), Ok(Some(1))));
        assert!(vrings.has_enabled());
        assert_eq!(vrings.started().map(|(index, _)| index).collect::<Vec<_>>(), [1]);
        assert_eq!(vrings.stop(1, true).num, 0x8000_8000);
        assert_eq!((vrings.stop(1, false).num, vrings.started().count()), (0, 0));
    }

    #[test]
    fn a_queue_that_the_device_does_not_have_is_refused() {
        let mut vrings = Vrings::new(2);
        assert!(matches!(configure(&mut vrings, Request::SetVringNum, 2, 256), Err(VdpaError::Message)));
        assert_eq!(vrings.vrings.len(), 0);
    }
}
