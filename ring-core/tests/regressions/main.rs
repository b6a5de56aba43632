//! Tests for every known bug of other implementations of the rings. Each test is a claim about
//! ring-core.
//!
//! The doc comment of a test names the CVE, issue or commit. These bugs have no test:
//!
//! - CVE-2011-2512 (the queue number was not checked): the transport chooses the queue.
//! - CVE-2019-18960 (bounds of the buffers of a device): each device checks its own bounds, and
//!   `Memory` checks every range that it is given.
//! - cloud-hypervisor #7802, #7803 (only the first descriptor was served): a bug of single devices.
//!   `Reader` and `Writer` go through all segments.
//! - cloud-hypervisor #8232 (range checks in many places): only `Memory` checks ranges.
//! - Kata #8633, #8634, cloud-hypervisor #2833 (packed queues were offered, split queues were
//!   parsed): the host negotiates, and one `Setup` decides for the whole queue.
//! - crosvm, virtio-drivers (a fence on the wrong side), Firecracker #2169, hermit #2108, #2669 (no
//!   fence): `tests/loom` shows that each ordering is needed and present.
//! - propolis #1190 (errors were hidden in `None`): `pop` returns errors.
//! - sysprog21/kvm-host #50, vm-virtio #26 (no details are known): `tests/model` covers wrap-around
//!   and the event index.

mod chains;
mod driver;
mod event_index;
mod packed;
mod peer;
mod snapshot;
mod state;
mod tables;
