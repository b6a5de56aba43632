//! Error messages say what is wrong, and contain the offending numbers.

use ring_core::error::{AddErrorKind, AreaName};
use ring_core::memory::{AccessError, RawMemory};
use ring_core::payload::PayloadError;
use ring_core::{AddError, ChainRecord, CompleteError, PopError, QueueSize, Segment, SetupError, Violation};
use support::{BUFFERS, DESCRIPTORS, Pair, SPLIT, ZEROED, setup};

const RANGE: AccessError = AccessError { address: 0x1000, len: 48 };

#[test]
fn a_violation_names_what_the_other_side_wrote() {
    for (violation, said) in [
        (
            Violation::AvailableIndex { index: 9, next: 2, size: 4 },
            "available index 9 is more than 4 ahead of 2",
        ),
        (Violation::DescriptorIndex { index: 9, size: 4 }, "descriptor 9 does not exist in a table of 4"),
        (Violation::ChainLoop { size: 4 }, "a chain has more than 4 descriptors"),
        (Violation::NotAvailable { slot: 3 }, "slot 3 continues a list but is not available"),
        (
            Violation::ReadableAfterWritable { position: 2 },
            "segment 2 of a chain is readable, but follows a writable one",
        ),
        (Violation::ChainBytes { bytes: 5_000_000_000 }, "a chain has 5000000000 bytes, more than 2^32"),
        (
            Violation::AddressOverflow { address: u64::MAX, len: 2 },
            "2 bytes at 0xffffffffffffffff extend past the last address",
        ),
        (Violation::AlreadyInFlight { id: 3 }, "buffer 3 was made available twice"),
        (Violation::TooManyInFlight { count: 5, size: 4 }, "5 descriptors are in flight in a queue of 4"),
        (Violation::BufferId { id: 9, size: 4 }, "buffer id 9 does not exist in a queue of 4"),
    ] {
        assert_violation(violation, said);
    }
}

#[test]
fn a_violation_names_the_fault_of_a_table_or_of_a_used_buffer() {
    for (violation, said) in [
        (
            Violation::IndirectNotNegotiated,
            "a descriptor refers to an indirect table, but the feature was not negotiated",
        ),
        (Violation::IndirectChained, "a descriptor refers to an indirect table and also continues the chain"),
        (Violation::IndirectNested, "an indirect table refers to another indirect table"),
        (
            Violation::IndirectLength { len: 17 },
            "an indirect table of 17 bytes is not a whole number of descriptors",
        ),
        (
            Violation::IndirectUnmapped(RANGE),
            "an indirect table is not usable: 48 bytes at 0x1000 are not shared memory",
        ),
        (
            Violation::UsedIndex { index: 9, next: 2, in_flight: 3 },
            "used index 9 is more than the 3 buffers in flight ahead of 2",
        ),
        (Violation::NotInFlight { id: 65536 }, "used buffer 65536 is not in flight"),
    ] {
        assert_violation(violation, said);
    }
}

/// `pop` reports a violation with the message of the violation.
fn assert_violation(violation: Violation, said: &str) {
    assert_eq!(violation.to_string(), said);
    assert_eq!(PopError::from(violation).to_string(), said);
}

#[test]
fn a_setup_error_names_the_area_and_the_fault() {
    let bad = QueueSize::split(3).unwrap_err();
    for (error, said) in [
        (
            SetupError::from(bad),
            "a queue cannot have 3 descriptors; choose 1 to 32768, for a split queue a power of two",
        ),
        (
            SetupError::TooFewSlots { slots: 3, size: 4 },
            "3 slots were lent for a queue of 4; lend one for each descriptor",
        ),
        (
            SetupError::Misaligned { area: AreaName::Descriptor, address: 0x1008, align: 16 },
            "the descriptor area at 0x1008 is not aligned to 16 bytes",
        ),
        (SetupError::Changed, "the queue has another size or other features; reset it to change these"),
        (
            SetupError::Overlap { areas: [AreaName::Driver, AreaName::Device] },
            "the driver area and the device area share memory",
        ),
        (
            SetupError::Unmapped { area: AreaName::Driver, range: RANGE },
            "the driver area, 48 bytes at 0x1000, is not one range of shared memory whose address in this \
             program equals 0x1000 modulo 8",
        ),
        (
            SetupError::Unmapped { area: AreaName::Device, range: RANGE },
            "the device area, 48 bytes at 0x1000, is not one range of shared memory whose address in this \
             program equals 0x1000 modulo 8",
        ),
    ] {
        assert_eq!(error.to_string(), said);
    }
}

#[test]
fn a_setup_error_names_what_the_queue_does_not_allow() {
    for (error, said) in [
        (
            SetupError::Position { available: 0x8009, used: 1, size: 4 },
            "a queue of 4 cannot begin at position 0x8009 available, 0x1 used",
        ),
        (SetupError::Staged, "staged chains have not been published; publish them before resuming the queue"),
        (
            SetupError::InFlight { descriptors: 3 },
            "3 descriptors are in flight; stay at the current position",
        ),
        (SetupError::Broken, "the other side broke a rule; reset the queue"),
        (SetupError::Format, "the queue has the other format; set up a new queue"),
        (
            SetupError::Recovery { last: 7, taken: 2 },
            "a device that has taken chains up to 2 cannot take over after chain 7",
        ),
        (
            SetupError::ChainRecord(ChainRecord { serial: 7, writable: 16, id: 3, count: 2 }),
            "chain 7 with id 3 and 2 descriptors cannot be adopted",
        ),
    ] {
        assert_eq!(error.to_string(), said);
    }
}

#[test]
fn the_error_for_a_refused_buffer_says_what_is_possible() {
    for (kind, said) in [
        (AddErrorKind::Full { free: 1, needed: 3 }, "the queue is full: 3 descriptors needed, 1 free"),
        (
            AddErrorKind::TooLong { segments: 5, size: 4 },
            "a buffer of 5 segments never fits into a queue of 4; split it",
        ),
        (AddErrorKind::Empty, "the buffer has no segments"),
        (AddErrorKind::EmptySegment, "a segment of the buffer has no bytes; leave it out"),
        (
            AddErrorKind::TooManyBytes { bytes: 5_000_000_000 },
            "the buffer has 5000000000 bytes, more than 2^32",
        ),
        (AddErrorKind::IndirectNotNegotiated, "indirect tables were not negotiated for this queue"),
        (
            AddErrorKind::TableTooSmall { capacity: 2, needed: 3 },
            "the buffer has 3 segments, but the indirect table has room for 2",
        ),
        (
            AddErrorKind::TableUnmapped(RANGE),
            "the indirect table is not usable: 48 bytes at 0x1000 are not shared memory",
        ),
        (AddErrorKind::NotRunning, "the queue does not run; resume it if it is suspended, else reset it"),
    ] {
        assert_eq!(AddError { kind, cookie: () }.to_string(), said);
    }
}

#[test]
fn a_refused_buffer_is_an_error_whatever_type_its_cookie_has() {
    struct Opaque;
    let error: Box<dyn std::error::Error> = AddError { kind: AddErrorKind::Empty, cookie: Opaque }.into();
    assert_eq!(format!("{error:?}"), "AddError { kind: Empty, .. }");
}

#[test]
fn a_payload_error_says_how_many_bytes_remain() {
    let short = PayloadError::TooShort { needed: 8, remaining: 3 };
    assert_eq!(short.to_string(), "8 bytes are needed, but only 3 remain in the buffer");
    assert_eq!(PayloadError::Unmapped(RANGE).to_string(), "48 bytes at 0x1000 are not shared memory");
}

#[test]
fn the_error_for_a_chain_that_was_not_completed_says_why() {
    assert_eq!(CompleteError::Stale.to_string(), "the token is older than the last reset of the queue");
    let mut words = ZEROED;
    let mut pair = Pair::new(&RawMemory::from_mut(&mut words, DESCRIPTORS), &setup(2, SPLIT));
    let segment = Segment::new(BUFFERS, 8);
    let _ = pair.offer(&[segment], &[segment], 0);

    // There is no room for the second segment, so the chain can only be completed.
    let error = pair.device.pop(&mut [segment]).unwrap_err();
    assert_eq!(error.to_string(), "the chain has more segments than the device accepts");
    let PopError::TooLong(token) = error else { panic!("{error}") };
    let error = pair.device.complete(token, 9).unwrap_err();
    assert_eq!(error.to_string(), "9 bytes reported as written to a chain with 8 writable bytes");
    let CompleteError::TooManyBytes { token, .. } = error else { panic!("{error}") };
    let error = CompleteError::NotNewest(token);
    assert_eq!(error.to_string(), "a later chain was taken and not put back");
    let CompleteError::NotNewest(token) = error else { panic!("{error}") };
    let _ = pair.device.suspend();
    assert_eq!(
        pair.device.complete(token, 8).unwrap_err().to_string(),
        "the queue is suspended; resume it first"
    );
}
