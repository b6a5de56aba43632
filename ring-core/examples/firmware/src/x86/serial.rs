//! The serial port, for the report.

use core::fmt;

use super::port;

/// The first serial port of a PC.
const BASE: u16 = 0x3f8;
/// Line status: bit 5 says that the transmitter accepts another byte.
const LINE_STATUS: u16 = BASE + 5;
const TRANSMITTER_EMPTY: u8 = 1 << 5;

/// Writes to the serial port. QEMU's serial port needs no set-up.
#[derive(Debug)]
pub(crate) struct Serial;

impl fmt::Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            while port::read_u8(LINE_STATUS) & TRANSMITTER_EMPTY == 0 {
                core::hint::spin_loop();
            }
            port::write_u8(BASE, byte);
        }
        Ok(())
    }
}
