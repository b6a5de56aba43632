//! Negotiation of features, as pure functions of feature bits.
//!
//! The two sides have independent features for rings and memory: the guest is offered all of these
//! features, and the device is asked for the features that it offers.

use clap::ValueEnum;
use ring_core::Features;
use thiserror::Error;

use crate::protocol::Request;
use crate::protocol::features::{ANY_LAYOUT, DEVICE_TYPE, LOG_ALL, PROTOCOL_FEATURES, protocol};

/// Features offered to every guest.
const ALWAYS: u64 = Features::RING_PACKED
    .union(Features::EVENT_IDX)
    .union(Features::INDIRECT_DESC)
    .union(Features::RING_RESET)
    .union(Features::VERSION_1)
    .bits()
    | LOG_ALL
    | PROTOCOL_FEATURES;

/// Features offered to the guest if the device offers them.
const SHARED: u64 = Features::IN_ORDER.union(Features::ORDER_PLATFORM).bits() | ANY_LAYOUT | DEVICE_TYPE;

/// Features that a guest may use although they are not offered.
///
/// DPDK's front-end uses in-order use without an offer, and every device can provide it. Cloud
/// Hypervisor lets a confidential guest use platform addresses whatever a device offers. Without a
/// virtual IOMMU, these are guest addresses. They are not offered, because QEMU then demands
/// messages of a virtual IOMMU.
const TOLERATED: u64 = Features::IN_ORDER.union(Features::ACCESS_PLATFORM).bits();

/// Features requested from a device that offers them, whether the guest wants them or not.
const OWN: u64 =
    Features::VERSION_1.union(Features::EVENT_IDX).union(Features::INDIRECT_DESC).bits() | PROTOCOL_FEATURES;

/// The ring format on the device's side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RingChoice {
    /// Packed if the device offers packed rings, split otherwise.
    #[default]
    Auto,
    /// Split.
    Split,
    /// Packed. A device that does not offer packed rings is rejected.
    Packed,
}

/// The features of the two sides are incompatible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NegotiationError {
    /// The device is older than VIRTIO 1.0.
    #[error("the device does not offer VIRTIO 1.0 (features {device:#x})")]
    TooOld {
        /// The features that the device offers.
        device: u64,
    },
    /// The options require packed rings, and the device does not offer them.
    #[error("the device does not offer packed rings (features {device:#x}); use --ring auto or split")]
    NotPacked {
        /// The features that the device offers.
        device: u64,
    },
    /// The guest wants features that were not offered.
    #[error("the guest asks for features {features:#x}, which were not offered")]
    NotOffered {
        /// The features that were not offered.
        features: u64,
    },
    /// A new device does not offer features that the guest uses.
    #[error("the device no longer offers features {features:#x}, which the guest uses")]
    Fewer {
        /// The missing features.
        features: u64,
    },
    /// A new device does not offer protocol features that the VMM was offered.
    #[error("the device no longer offers protocol features {features:#x}, which were offered to the VMM")]
    FewerProtocol {
        /// The missing protocol features.
        features: u64,
    },
    /// A new device has fewer queues.
    #[error("the device has {queues} queues now, and had {before}")]
    FewerQueues {
        /// The number of queues of the new device.
        queues: u16,
        /// The number of queues of its predecessor.
        before: u16,
    },
}

/// Returns the features that are offered to the guest if the device offers the features `device`.
#[must_use]
pub const fn offered(device: u64) -> u64 {
    device & SHARED | ALWAYS
}

/// Checks the features that the guest wants if the device offers the features `device`.
///
/// # Errors
///
/// [`NegotiationError::NotOffered`] if the guest was not offered all of them.
pub const fn accept(device: u64, wanted: u64) -> Result<(), NegotiationError> {
    match wanted & !(offered(device) | TOLERATED) {
        0 => Ok(()),
        features => Err(NegotiationError::NotOffered { features }),
    }
}

/// Returns the features to request from a device that offers `device`.
///
/// `wanted` has the features that the guest wants.
///
/// # Errors
///
/// [`NegotiationError`] if the device is too old, or lacks the ring format.
pub fn ask(device: u64, wanted: u64, ring: RingChoice) -> Result<u64, NegotiationError> {
    if device & Features::VERSION_1.bits() == 0 {
        return Err(NegotiationError::TooOld { device });
    }
    let packed = device & Features::RING_PACKED.bits();
    let packed = match ring {
        RingChoice::Split => 0,
        RingChoice::Packed if packed == 0 => return Err(NegotiationError::NotPacked { device }),
        RingChoice::Auto | RingChoice::Packed => packed,
    };
    Ok(device & (wanted & (SHARED | LOG_ALL) | OWN) | packed)
}

/// Checks that a new device can continue for a guest that negotiated `wanted`.
///
/// # Errors
///
/// [`NegotiationError::Fewer`] if a feature is missing.
pub const fn accept_successor(device: u64, wanted: u64) -> Result<(), NegotiationError> {
    match wanted & DEVICE_TYPE & !device {
        0 => Ok(()),
        features => Err(NegotiationError::Fewer { features }),
    }
}

/// Checks that a new device can continue for a VMM that was offered the protocol features `before`.
///
/// # Errors
///
/// [`NegotiationError::FewerProtocol`] if a protocol feature is missing.
pub const fn accept_protocol(device: u64, before: u64) -> Result<(), NegotiationError> {
    match before & RELAYED & !device {
        0 => Ok(()),
        features => Err(NegotiationError::FewerProtocol { features }),
    }
}

/// Checks that a new device has as many queues as its predecessor.
///
/// # Errors
///
/// [`NegotiationError::FewerQueues`] if it has fewer.
pub const fn accept_queues(queues: u16, before: u16) -> Result<(), NegotiationError> {
    if queues < before { Err(NegotiationError::FewerQueues { queues, before }) } else { Ok(()) }
}

/// Returns the ring features among the negotiated features.
#[must_use]
pub const fn ring(negotiated: u64) -> Features {
    Features::from_bits_retain(negotiated)
}

/// Protocol features that have the same meaning on both sides.
///
/// The VMM is offered them if the device has them.
const RELAYED: u64 = protocol::MQ
    | protocol::RARP
    | protocol::NET_MTU
    | protocol::BACKEND_REQ
    | protocol::CRYPTO_SESSION
    | protocol::CONFIG
    | protocol::DEVICE_STATE;

/// Returns whether a request is relayed to the device unchanged.
///
/// Requests about the configuration are relayed, too, after they have been checked.
#[must_use]
pub const fn is_relayed(request: Request) -> bool {
    matches!(
        request,
        Request::SendRarp
            | Request::NetSetMtu
            | Request::CreateCryptoSession
            | Request::CloseCryptoSession
            | Request::SetDeviceStateFd
            | Request::CheckDeviceState
    )
}

/// Returns whether a device with these protocol features supports a relayed request.
#[must_use]
pub const fn understands(device: u64, request: Request) -> bool {
    let needed = match request {
        Request::GetConfig | Request::SetConfig => protocol::CONFIG,
        Request::SendRarp => protocol::RARP,
        Request::NetSetMtu => protocol::NET_MTU,
        Request::CreateCryptoSession | Request::CloseCryptoSession => protocol::CRYPTO_SESSION,
        Request::SetDeviceStateFd | Request::CheckDeviceState => protocol::DEVICE_STATE,
        _ => return false,
    };
    device & needed != 0
}

/// Returns the protocol features that the VMM is offered if the device offers `device`.
#[must_use]
pub const fn protocol_offered(device: u64) -> u64 {
    device & RELAYED
        | protocol::REPLY_ACK
        | protocol::LOG_SHMFD
        | protocol::CONFIGURE_MEM_SLOTS
        | protocol::INFLIGHT_SHMFD
        | protocol::RESET_DEVICE
        | protocol::STATUS
}

/// Returns the protocol features to request from a device that offers `device`.
#[must_use]
pub const fn protocol_asked(device: u64) -> u64 {
    const OWN: u64 =
        protocol::REPLY_ACK | protocol::LOG_SHMFD | protocol::RESET_DEVICE | protocol::CONFIGURE_MEM_SLOTS;
    device & (RELAYED | OWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: u64 = Features::VERSION_1.bits() | 0b101;

    #[test]
    fn the_guest_has_all_ring_features_whatever_the_device_offers() {
        let all = Features::RING_PACKED | Features::EVENT_IDX | Features::INDIRECT_DESC;
        let offered = offered(MINIMAL);
        assert_eq!(offered & all.bits(), all.bits());
        assert_eq!(offered & DEVICE_TYPE, 0b101);
        assert_eq!(ask(MINIMAL, offered, RingChoice::Auto), Ok(MINIMAL));
    }

    #[test]
    fn the_ring_format_of_the_device_does_not_depend_on_the_guest() {
        let device = MINIMAL | Features::RING_PACKED.bits();
        for wanted in [Features::VERSION_1.bits(), (Features::VERSION_1 | Features::RING_PACKED).bits()] {
            let packed = |ring| ask(device, wanted, ring).unwrap() & Features::RING_PACKED.bits() != 0;
            assert_eq!(
                [RingChoice::Auto, RingChoice::Split, RingChoice::Packed].map(packed),
                [true, false, true]
            );
        }
        assert_eq!(ask(MINIMAL, 0, RingChoice::Packed), Err(NegotiationError::NotPacked { device: MINIMAL }));
    }

    #[test]
    fn the_device_is_asked_only_for_features_that_are_safe_and_wanted() {
        let device = u64::MAX;
        let asked = ask(device, offered(device) & !0b1, RingChoice::Auto).unwrap();
        assert_eq!(asked & (Features::ACCESS_PLATFORM.bits() | 0b1), 0);
        assert_eq!(asked & Features::NOTIFICATION_DATA.bits(), 0);
    }

    #[test]
    fn a_guest_may_use_only_features_that_were_offered() {
        assert_eq!(accept(MINIMAL, offered(MINIMAL)), Ok(()));
        assert_eq!(accept(MINIMAL, TOLERATED), Ok(()));
        assert_eq!(offered(u64::MAX) & Features::ACCESS_PLATFORM.bits(), 0);
        assert_eq!(accept(MINIMAL, 0b111), Err(NegotiationError::NotOffered { features: 0b010 }));
    }

    #[test]
    fn a_new_device_needs_only_the_device_features_in_use() {
        let wanted = offered(MINIMAL);
        assert_eq!(accept_successor(MINIMAL, wanted), Ok(()));
        assert_eq!(accept_successor(MINIMAL & !0b1, wanted), Err(NegotiationError::Fewer { features: 0b1 }));
    }

    #[test]
    fn a_new_device_needs_only_the_protocol_features_that_are_relayed() {
        let before = protocol::CONFIG | protocol::MQ | protocol::REPLY_ACK;
        assert_eq!(accept_protocol(protocol::CONFIG | protocol::MQ, before), Ok(()));
        let fewer = NegotiationError::FewerProtocol { features: protocol::CONFIG };
        assert_eq!(accept_protocol(protocol::MQ, before), Err(fewer));
        assert_eq!(accept_queues(2, 2), Ok(()));
        assert_eq!(accept_queues(1, 2), Err(NegotiationError::FewerQueues { queues: 1, before: 2 }));
    }

    #[test]
    fn a_device_older_than_version_1_is_rejected() {
        assert_eq!(ask(0b1, 0, RingChoice::Auto), Err(NegotiationError::TooOld { device: 0b1 }));
    }
}
