//! What is left to a thread in the sandbox.

use std::fs::File;
use std::io::ErrorKind;
use std::thread;

use isolation_host::sandbox;

#[test]
fn a_thread_can_return_its_memory_but_open_no_file() {
    let sandboxed = thread::spawn(|| {
        sandbox::enter().unwrap();
        // The allocator of a thread asks the system something before it returns so much.
        let pieces: Vec<Vec<u8>> = (0..1000).map(|_| vec![1; 100_000]).collect();
        drop(pieces);
        File::open("/proc/self/status").map_err(|error| error.kind())
    });
    assert_eq!(sandboxed.join().unwrap().unwrap_err(), ErrorKind::PermissionDenied);
}
