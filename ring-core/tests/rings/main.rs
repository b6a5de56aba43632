//! The promises of the queues' public interface, with a module for each subject.

mod arming;
mod beginning;
mod bursts;
mod bursts_compared;
mod draining;
mod errors;
mod in_order;
mod indirect;
mod iterated;
mod largest;
mod lending;
mod long_held;
mod peeking;
mod recovery;
mod refused;
mod remapping;
mod setting_up;
mod unpop;
#[cfg(feature = "vm-memory")]
mod vm_memory;
