//! What a thread in the sandbox can do.

use std::fs::File;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::thread;

use isolation_host::sandbox;
use landlock::{ABI, Access as _, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _, Scope};
use rustix::process::{DumpableBehavior, dumpable_behavior};

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

#[test]
fn no_other_process_can_inspect_a_sandboxed_one() {
    thread::spawn(|| sandbox::enter().unwrap()).join().unwrap();
    // The setting applies to the whole process. The kernel then refuses ptrace and `/proc/PID/mem`.
    assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
}

#[test]
fn a_thread_can_connect_to_a_path_but_not_to_an_abstract_socket() {
    let scopes = Scope::from_all(ABI::V6);
    let required = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    if let Err(error) = required.scope(scopes) {
        println!("this kernel cannot refuse abstract sockets: {error}");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let _at_path = UnixListener::bind(&path).unwrap();
    let name = SocketAddr::from_abstract_name(path.as_os_str().as_encoded_bytes()).unwrap();
    let _abstract = UnixListener::bind_addr(&name).unwrap();
    let sandboxed = thread::spawn(move || {
        sandbox::enter().unwrap();
        let by_name = UnixStream::connect_addr(&name).map_err(|error| error.kind());
        (by_name.err(), UnixStream::connect(path).is_ok())
    });
    assert_eq!(sandboxed.join().unwrap(), (Some(ErrorKind::PermissionDenied), true));
}
