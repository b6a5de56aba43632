//! What the rings of a device depend on, apart from its features.

use std::io;
use std::os::fd::OwnedFd;

use crate::notifier;

/// How a device is connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkType {
    /// The device is another process, which is not trusted.
    #[default]
    VhostUser,
    /// The device is a vDPA device of the kernel.
    Vdpa {
        /// The size of its largest ring, a power of two.
        ring_limit: u16,
    },
}

impl LinkType {
    /// Makes the notification of the device. Returns the device's end and the end to notify.
    ///
    /// # Errors
    ///
    /// Fails if the process has too many open files.
    pub fn kick(self) -> io::Result<(OwnedFd, OwnedFd)> {
        match self {
            Self::VhostUser => notifier::pair(),
            // The kernel takes only eventfds, and is trusted.
            Self::Vdpa { .. } => {
                let kick = notifier::new()?;
                Ok((kick.try_clone()?, kick))
            }
        }
    }

    /// Returns the size of the device's ring for a ring of the guest of `guest` descriptors.
    #[must_use]
    pub fn ring_size(self, guest: u16) -> u16 {
        match self {
            Self::VhostUser => guest,
            // The kernel takes only powers of two, in either format.
            Self::Vdpa { ring_limit } => 1 << guest.clamp(1, ring_limit.max(1)).ilog2(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_of_a_vdpa_device_is_a_power_of_two_up_to_its_limit() {
        let size = |guest| LinkType::Vdpa { ring_limit: 256 }.ring_size(guest);
        assert_eq!([1, 2, 128, 200, 256, 300, 1024, 32768].map(size), [1, 2, 128, 128, 256, 256, 256, 256]);
        assert_eq!(LinkType::VhostUser.ring_size(300), 300);
    }

    #[test]
    fn the_kick_of_a_vdpa_device_is_one_eventfd() {
        let (device, own) = LinkType::Vdpa { ring_limit: 256 }.kick().unwrap();
        notifier::notify(&own);
        let mut count = [0; 8];
        assert_eq!(rustix::io::read(&device, &mut count), Ok(8));
        assert_eq!(u64::from_ne_bytes(count), 1);
    }
}
