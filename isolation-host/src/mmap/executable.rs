//! Executable memory, which the sandbox forbids.

// UNSAFETY: maps memory, and changes its protection.

use std::thread;

use rustix::io::Errno;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect};

use crate::sandbox;

#[test]
fn a_sandboxed_thread_can_map_no_code() {
    let sandboxed = thread::spawn(|| {
        sandbox::enter().unwrap();
        let map = |protection| {
            // SAFETY: the kernel chooses the address, so no other mapping is replaced.
            unsafe { mmap_anonymous(std::ptr::null_mut(), 4096, protection, MapFlags::PRIVATE) }
        };
        assert_eq!(map(ProtFlags::READ | ProtFlags::EXEC), Err(Errno::ACCESS));
        let data = map(ProtFlags::READ | ProtFlags::WRITE).unwrap();
        for protection in [MprotectFlags::EXEC, MprotectFlags::READ | MprotectFlags::EXEC] {
            // SAFETY: no reference to the mapping exists.
            let changed = unsafe { mprotect(data, 4096, protection) };
            assert_eq!(changed, Err(Errno::ACCESS));
        }
        // SAFETY: no reference to the mapping exists.
        unsafe { mprotect(data, 4096, MprotectFlags::READ) }
    });
    assert_eq!(sandboxed.join().unwrap(), Ok(()));
}
