//! Fuzzes the device end of a packed queue.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ring_core_fuzz::{End, Format, run};

fuzz_target!(|input: &[u8]| run(Format::RING_PACKED, End::Device, input));
