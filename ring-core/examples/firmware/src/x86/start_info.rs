//! The command line that the loader passed on.

// UNSAFETY: the loader left structures in memory and passed their addresses.
#![expect(unsafe_code)]

use core::ffi::CStr;
use core::ptr;

/// The first fields of `hvm_start_info`.
#[repr(C)]
struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    modules: u32,
    module_list: u64,
    command_line: u64,
}

const MAGIC: u32 = 0x336e_c578;

/// Returns the command line, which is empty if there is none or it is not ASCII.
pub(crate) fn command_line(start_info: u32) -> &'static str {
    let info = ptr::with_exposed_provenance::<StartInfo>(start_info as usize);
    // SAFETY: a PVH loader passes the address of the structure, in memory that does not overlap the
    // program's memory; everything below 4 GiB is mapped. Every value of the structure is valid for
    // its type.
    let info = unsafe { info.read_unaligned() };
    if info.magic != MAGIC || info.command_line == 0 {
        return "";
    }
    let Ok(address) = usize::try_from(info.command_line) else { return "" };
    // SAFETY: the protocol guarantees a string that ends with a zero. It is never written.
    let text = unsafe { CStr::from_ptr(ptr::with_exposed_provenance(address)) };
    text.to_str().unwrap_or("")
}
