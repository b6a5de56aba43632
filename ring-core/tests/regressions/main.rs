//! Every bug that is known from other implementations of the rings, each as a claim about this one.
//!
//! A doc comment names the CVE, issue or commit. What does not apply to a library of this shape:
//!
//! | bug | why |
//! |---|---|
//! | CVE-2011-2512 (queue number not checked) | choosing a queue is the transport's |
//! | CVE-2019-18960 (bounds of a device's own buffers) | devices' own; `Memory` checks every range it is given |
//! | cloud-hypervisor #7802, #7803 (only the first descriptor served) | devices' own; `Reader` and `Writer` make it hard to write |
//! | cloud-hypervisor #8232 (range checks in many places) | by design: ranges are checked in `Memory` alone |
//! | Kata #8633, #8634, cloud-hypervisor #2833 (packed offered, split parsed) | negotiation is the host's; one `Setup` decides for the whole queue |
//! | crosvm, virtio-drivers: fence on the wrong side; Firecracker #2169, hermit #2108, #2669: none | orderings: `tests/loom` shows that each is needed and there |
//! | propolis #1190 (errors hidden in `None`) | by design: `pop` returns them |
//! | sysprog21/kvm-host #50, vm-virtio #26 (no detail known) | wrap-around and event index: `tests/model` |

mod chains;
mod driver;
mod event_index;
mod packed;
mod peer;
mod snapshot;
mod state;
#[path = "../support/mod.rs"]
mod support;
mod tables;
#[path = "../support/watched.rs"]
mod watched;
