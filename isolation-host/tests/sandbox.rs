//! What a thread in the sandbox can do.

use std::fs::File;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::thread;

use isolation_host::sandbox;

#[test]
fn a_thread_can_return_its_memory_but_open_no_file_and_reach_no_network() {
    let sandboxed = thread::spawn(|| {
        sandbox::enter().unwrap();
        // To return this much memory, the allocator of a thread needs further system calls.
        let pieces: Vec<Vec<u8>> = (0..1000).map(|_| vec![1; 100_000]).collect();
        drop(pieces);
        let file = File::open("/proc/self/status").map_err(|error| error.kind());
        let network = TcpListener::bind("127.0.0.1:0").map_err(|error| error.kind());
        let unix = UnixDatagram::unbound();
        (file.unwrap_err(), network.unwrap_err(), unix.is_ok())
    });
    let denied = ErrorKind::PermissionDenied;
    assert_eq!(sandboxed.join().unwrap(), (denied, denied, true));
}
