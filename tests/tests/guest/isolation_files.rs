//! Linux's virtiofs in a real guest uses virtiofsd through isolation-host.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;
use std::time::Duration;

use end_to_end::artifacts::{GuestImage, Profile, program, virtiofsd};
use end_to_end::daemon::Daemon;
use end_to_end::forwarding::start_forwarder;
use end_to_end::guest::{Device, Guest, Overlay, VirtioDevice};
use end_to_end::memory;
use end_to_end::tree::Tree;

const FILES: usize = 2000;
const BOOT_AND_COPY: Duration = Duration::from_secs(120);

/// Copies the tree to the guest's own memory and from there back to the host.
const SCRIPT: &str = "
    set -e
    mkdir /shared
    mount -t virtiofs files /shared
    cp -a /shared/there /copy
    cp -a /copy /shared/back
    umount /shared";

/// The file server maps none of the guest's memory.
#[test]
fn a_guest_copies_a_tree_from_and_to_an_isolated_file_server() -> Result<(), Box<dyn Error>> {
    for ring in ["packed=off", "packed=on"] {
        let directory = tempfile::tempdir()?;
        let shared = directory.path().join("shared");
        let original = Tree::make(&shared.join("there"), FILES)?;
        let server = serve(&shared, &directory.path().join("files.sock"))?;
        let mut forwarder = start_forwarder(
            &program("isolation-host", Profile::Debug)?,
            directory.path(),
            server.socket(),
            &["--device", "fs"],
        )?;

        let device = Device::vhost_user("vhost-user-fs-pci", forwarder.socket()).with("tag=files").with(ring);
        let guest = Guest::boot(&GuestImage::prepared()?, &device, &Overlay::script(SCRIPT))?;
        let mut memory = BTreeSet::new();
        let run = guest
            .finish_watched(BOOT_AND_COPY, |_| {
                memory.extend(memory::of_process(server.id()).unwrap_or_default());
            })
            .inspect_err(|error| eprintln!("{error}\n{}", forwarder.log().join("\n")))?;

        // isolation-host offers packed rings, which virtiofsd does not have.
        let negotiated = run.only(VirtioDevice::FILE_SYSTEM).map(VirtioDevice::ring_packed);
        assert_eq!(negotiated, Some(ring == "packed=on"));
        let copied = Tree::read(&shared.join("back"))?;
        let differences = copied.differences(&original);
        assert!(differences.is_empty(), "{ring}: {differences:#?}");
        assert!(memory.iter().eq([memory::ISOLATED]), "{memory:?}");
        println!("{ring}: {copied}, unchanged after a copy in both directions");
    }
    Ok(())
}

/// Starts virtiofsd for the directory `shared`.
fn serve(shared: &Path, socket: &Path) -> Result<Daemon, Box<dyn Error>> {
    let option = |name: &str, path: &Path| format!("--{name}={}", path.display());
    let arguments =
        [option("socket-path", socket), option("shared-dir", shared), "--sandbox=none".to_owned()];
    Ok(Daemon::start_with(&virtiofsd()?, socket, arguments)?)
}
