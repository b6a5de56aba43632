//! Which features are offered to whom, as pure functions of bits.
//!
//! The two sides are decoupled: what concerns rings and memory is offered to the guest whatever the device can,
//! and is used with the device as far as it can.

use clap::ValueEnum;
use ring_core::Features;
use thiserror::Error;

use crate::protocol::Request;
use crate::protocol::features::{ANY_LAYOUT, DEVICE_TYPE, LOG_ALL, PROTOCOL_FEATURES, protocol};

/// What isolation-host does for every guest, whatever the device can.
const ALWAYS: u64 = Features::RING_PACKED
    .union(Features::EVENT_IDX)
    .union(Features::INDIRECT_DESC)
    .union(Features::RING_RESET)
    .union(Features::VERSION_1)
    .bits()
    | LOG_ALL
    | PROTOCOL_FEATURES;

/// What it does for a guest if the device does it, too.
const LIKE_THE_DEVICE: u64 =
    Features::IN_ORDER.union(Features::ORDER_PLATFORM).bits() | ANY_LAYOUT | DEVICE_TYPE;

/// What the device is asked for if it offers it, whether the guest wants it or not.
const OWN: u64 =
    Features::VERSION_1.union(Features::EVENT_IDX).union(Features::INDIRECT_DESC).bits() | PROTOCOL_FEATURES;

/// The ring format that the device is to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RingChoice {
    /// Packed if the device offers it, split otherwise.
    #[default]
    Auto,
    /// Split.
    Split,
    /// Packed; a device that does not offer it is refused.
    Packed,
}

/// Features that do not go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NegotiationError {
    /// The device is older than VIRTIO 1.0.
    #[error("the device does not offer VIRTIO 1.0 (features {device:#x})")]
    TooOld {
        /// What it offers.
        device: u64,
    },
    /// Packed rings were asked for.
    #[error("the device does not offer packed rings (features {device:#x}), but --ring packed was given")]
    NotPacked {
        /// What the device offers.
        device: u64,
    },
    /// The guest wants what was not offered.
    #[error("the guest asks for features {features:#x}, which were not offered")]
    NotOffered {
        /// The superfluous bits.
        features: u64,
    },
    /// A device that came back offers less than the guest already uses.
    #[error("the device no longer offers features {features:#x}, which the guest uses")]
    Fewer {
        /// The missing bits.
        features: u64,
    },
    /// A device that came back cannot do what the one before could.
    #[error("the device no longer offers protocol features {features:#x}, which were offered to the VMM")]
    FewerProtocol {
        /// The missing bits.
        features: u64,
    },
    /// A device that came back has fewer queues.
    #[error("the device has {queues} queues now, and had {before}")]
    FewerQueues {
        /// How many it has.
        queues: u16,
        /// How many the one before had.
        before: u16,
    },
}

/// What is offered to the guest of a device with these features.
#[must_use]
pub const fn offered(device: u64) -> u64 {
    device & LIKE_THE_DEVICE | ALWAYS
}

/// Whether the guest of a device with these features may ask for `wanted`.
///
/// # Errors
///
/// [`NegotiationError::NotOffered`] if it was not offered all of that. In-order use is never refused, because
/// DPDK's front-end takes it without being asked, and it can be had from any device.
pub const fn accept(device: u64, wanted: u64) -> Result<(), NegotiationError> {
    match wanted & !(offered(device) | Features::IN_ORDER.bits()) {
        0 => Ok(()),
        features => Err(NegotiationError::NotOffered { features }),
    }
}

/// What a device with these features is asked for, on behalf of a guest that asked for `wanted`.
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
    Ok(device & (wanted & (LIKE_THE_DEVICE | LOG_ALL) | OWN) | packed)
}

/// Whether a device that came back can go on for a guest that asked for `wanted` of the one before.
///
/// # Errors
///
/// [`NegotiationError::Fewer`] if it cannot.
pub const fn accept_successor(device: u64, wanted: u64) -> Result<(), NegotiationError> {
    match wanted & DEVICE_TYPE & !device {
        0 => Ok(()),
        features => Err(NegotiationError::Fewer { features }),
    }
}

/// Whether a device with these protocol features can go on for a VMM to which those of `before` were passed on.
///
/// # Errors
///
/// [`NegotiationError::FewerProtocol`] if it cannot.
pub const fn accept_protocol(device: u64, before: u64) -> Result<(), NegotiationError> {
    match before & RELAYED & !device {
        0 => Ok(()),
        features => Err(NegotiationError::FewerProtocol { features }),
    }
}

/// Whether a device with so many queues can take the place of one that had `before`.
///
/// # Errors
///
/// [`NegotiationError::FewerQueues`] if it cannot.
pub const fn accept_queues(queues: u16, before: u16) -> Result<(), NegotiationError> {
    if queues < before { Err(NegotiationError::FewerQueues { queues, before }) } else { Ok(()) }
}

/// The ring's part of what was negotiated with one side.
#[must_use]
pub const fn ring(negotiated: u64) -> Features {
    Features::from_bits_retain(negotiated)
}

/// Protocol features that mean the same on both sides, and are offered if the device has them.
const RELAYED: u64 = protocol::MQ
    | protocol::RARP
    | protocol::NET_MTU
    | protocol::BACKEND_REQ
    | protocol::CRYPTO_SESSION
    | protocol::CONFIG
    | protocol::DEVICE_STATE;

/// Returns whether a request is relayed to the device as it is. Requests about the configuration are
/// relayed, too, after they have been checked.
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

/// The protocol features that are offered to the VMM of a device with these.
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

/// The protocol features that are used with a device that has these.
#[must_use]
pub const fn protocol_asked(device: u64) -> u64 {
    const OWN: u64 =
        protocol::REPLY_ACK | protocol::LOG_SHMFD | protocol::RESET_DEVICE | protocol::CONFIGURE_MEM_SLOTS;
    device & (RELAYED | OWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOR: u64 = Features::VERSION_1.bits() | 0b101;

    #[test]
    fn the_poorest_device_gives_the_guest_all_ring_features() {
        let all = Features::RING_PACKED | Features::EVENT_IDX | Features::INDIRECT_DESC;
        let offered = offered(POOR);
        assert_eq!(offered & all.bits(), all.bits());
        assert_eq!(offered & DEVICE_TYPE, 0b101);
        assert_eq!(ask(POOR, offered, RingChoice::Auto), Ok(POOR));
    }

    #[test]
    fn the_rings_format_with_the_device_does_not_depend_on_the_guest() {
        let device = POOR | Features::RING_PACKED.bits();
        for wanted in [Features::VERSION_1.bits(), (Features::VERSION_1 | Features::RING_PACKED).bits()] {
            let packed = |ring| ask(device, wanted, ring).unwrap() & Features::RING_PACKED.bits() != 0;
            assert_eq!(
                [RingChoice::Auto, RingChoice::Split, RingChoice::Packed].map(packed),
                [true, false, true]
            );
        }
        assert_eq!(ask(POOR, 0, RingChoice::Packed), Err(NegotiationError::NotPacked { device: POOR }));
    }

    #[test]
    fn the_device_never_sees_features_that_would_give_it_guest_memory_or_what_the_guest_did_not_ask_for() {
        let device = u64::MAX;
        let asked = ask(device, offered(device) & !0b1, RingChoice::Auto).unwrap();
        assert_eq!(asked & (Features::ACCESS_PLATFORM.bits() | 0b1), 0);
        assert_eq!(asked & Features::NOTIFICATION_DATA.bits(), 0);
    }

    #[test]
    fn a_guest_gets_what_it_was_offered_and_no_more() {
        assert_eq!(accept(POOR, offered(POOR)), Ok(()));
        assert_eq!(accept(POOR, Features::IN_ORDER.bits()), Ok(()));
        assert_eq!(accept(POOR, 0b111), Err(NegotiationError::NotOffered { features: 0b010 }));
    }

    #[test]
    fn a_successor_needs_only_the_device_features_in_use() {
        let wanted = offered(POOR);
        assert_eq!(accept_successor(POOR, wanted), Ok(()));
        assert_eq!(accept_successor(POOR & !0b1, wanted), Err(NegotiationError::Fewer { features: 0b1 }));
    }

    #[test]
    fn a_successor_has_to_do_what_is_passed_on_to_it_and_nothing_else() {
        let before = protocol::CONFIG | protocol::MQ | protocol::REPLY_ACK;
        assert_eq!(accept_protocol(protocol::CONFIG | protocol::MQ, before), Ok(()));
        let fewer = NegotiationError::FewerProtocol { features: protocol::CONFIG };
        assert_eq!(accept_protocol(protocol::MQ, before), Err(fewer));
        assert_eq!(accept_queues(2, 2), Ok(()));
        assert_eq!(accept_queues(1, 2), Err(NegotiationError::FewerQueues { queues: 1, before: 2 }));
    }

    #[test]
    fn a_device_from_before_version_1_is_refused() {
        assert_eq!(ask(0b1, 0, RingChoice::Auto), Err(NegotiationError::TooOld { device: 0b1 }));
    }
}
