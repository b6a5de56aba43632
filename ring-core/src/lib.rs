//! Complete VIRTIO virtqueues: split and packed, driver and device side.
//!
//! A *virtqueue* is a queue in memory that a driver and a device share. The driver makes buffers
//! available in it; the device uses the buffers and returns them. VIRTIO 1.4 defines two formats of
//! this memory, *split* and *packed*.
//!
//! This crate has no `std`, no allocation and no I/O. It moves buffers between the driver and the
//! device and decides when the other side has to be notified. The caller maps the memory and
//! delivers the notifications.
//!
//! | | split | packed |
//! |---|---|---|
//! | driver | [`split::DriverQueue`] | [`packed::DriverQueue`] |
//! | device | [`split::DeviceQueue`] | [`packed::DeviceQueue`] |
//!
//! [`DriverQueue`] and [`DeviceQueue`] stand for either format, as negotiated. Each of the four
//! types is one *end* of one queue; a VIRTIO device usually has several queues.
//!
//! [`split`] and [`packed`] show the memory of each format and the life of a descriptor in it.
//! [`Token`] shows the life of a chain on the device's side, and [`recovery`] the life of a chain
//! whose device crashes. [`porting`] lists the calls of ring-core that replace the calls of other
//! rings.
//!
//! # Both ends of one request
//!
//! ```
//! use ring_core::memory::{AlignedWord, Memory, RawMemory};
//! use ring_core::{Areas, DeviceQueue, DriverQueue, Features, Segment, Setup, device, driver};
//!
//! for features in [Features::empty(), Features::RING_PACKED] {
//!     // One page that both sides see holds the three areas of a queue of four descriptors.
//!     let mut page = [AlignedWord::ZERO; 512];
//!     let memory = RawMemory::from_mut(&mut page, 0x1000);
//!     let areas = Areas { descriptor: 0x1000, driver: 0x1100, device: 0x1200 };
//!     let setup = Setup::new(4, features, areas);
//!     let mut driver = DriverQueue::new(memory.clone(), &setup, [driver::Slot::EMPTY; 4])?;
//!     let mut device = DeviceQueue::new(memory.clone(), &setup, [device::Slot::EMPTY; 4])?;
//!
//!     // The driver sends a request and provides memory for the response.
//!     memory.write_bytes(0x1800, b"ping")?;
//!     let mut burst = driver.burst();
//!     burst.add(&[Segment::new(0x1800, 4)], &[Segment::new(0x1900, 16)], "request 1")?;
//!     assert!(burst.publish().is_needed());
//!
//!     // The device writes a response to each request that is available.
//!     let mut segments = [Segment::default(); 4];
//!     let mut burst = device.burst();
//!     let served = burst.serve(&mut segments, 4, |readable, writable| {
//!         assert_eq!(readable, [Segment::new(0x1800, 4)]);
//!         let response = memory.write_bytes(writable[0].address, b"pong");
//!         response.map_or(0, |()| 4) // bytes written
//!     })?;
//!     assert_eq!(served, 1);
//!     assert!(burst.publish().is_needed());
//!
//!     // The driver gets back the buffers that the device has returned.
//!     let mut burst = driver.burst();
//!     while let Some(used) = burst.reap()? {
//!         assert_eq!((used.cookie, used.written), ("request 1", 4));
//!     }
//! }
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! A [burst] makes calls for many buffers and ends with `publish`. Each queue also has these calls,
//! except `serve`; [`device`] and [`driver`] show the calls of a queue.
//!
//! # In a kernel
//!
//! The example shows the driver end of a queue of 16 in one page, with its records in an array. The
//! addresses in segments are those that the device uses, here physical addresses. The example
//! `firmware` is a complete program of this kind: it drives QEMU's devices over virtio-mmio.
//!
//! ```
//! use core::ptr::NonNull;
//!
//! use ring_core::memory::{Dma, RawMemory};
//! use ring_core::{DriverQueue, Features, Segment, Setup, driver};
//! # let negotiated = Features::VERSION_1 | Features::RING_PACKED;
//! # let mut pages = vec![[ring_core::memory::AlignedWord::ZERO; 512]; 1];
//! # let (page, physical) = (NonNull::from(&mut pages[..]).cast::<u8>(), 0x4000_0000);
//! # let (request, response) = (0x4100_0000, 0x4100_1000);
//! # let notify = |queue_index: u16| {};
//!
//! // `page` comes from the DMA allocator, and the device knows it as `physical`. The page stays
//! // mapped for as long as the queue lives, and only the queue accesses it: this call is sound.
//! let memory = unsafe { RawMemory::new(page, physical, 4096) };
//! // The requests lie elsewhere, and this driver lends them until the device returns them: this
//! // call is sound. Without `Dma`, `add` accepts only segments in the page.
//! let memory = unsafe { Dma::new(memory) };
//! let (setup, _bytes) = Setup::contiguous(physical, 16, negotiated)?;
//! let mut queue = DriverQueue::new(memory, &setup, [driver::Slot::EMPTY; 16])?;
//! // Tell the device the size and the three addresses, enable the queue, then for each request:
//! queue.add(&[Segment::new(request, 16)], &[Segment::new(response, 512)], "request 1")?;
//! if queue.publish().is_needed() {
//!     notify(0);
//! }
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! # On a host
//!
//! With the feature `vm-memory`, the device end serves a queue in a virtual machine's memory.
//! Writes are marked in the memory's dirty bitmap, if there is one. A resolved area keeps its
//! memory mapped.
//!
//! ```
//! use std::sync::Arc;
//!
//! use ring_core::memory::VmMemory;
//! use ring_core::{Areas, DeviceQueue, Features, Position, Setup, device};
//! use vm_memory::{GuestAddress, GuestMemoryMmap};
//!
//! let mapped = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(0), 0x10000)])?;
//! let areas = Areas { descriptor: 0x1000, driver: 0x2000, device: 0x3000 };
//! let setup = Setup::new(256, Features::VERSION_1 | Features::EVENT_IDX, areas);
//! let slots = vec![device::Slot::EMPTY; 256].into_boxed_slice();
//! let mut queue = DeviceQueue::new(VmMemory::new(Arc::new(mapped)), &setup, slots)?;
//! // The front-end says where the queue resumes: here, at vring base 0.
//! let position = queue.position_of(0);
//! queue.resume(position)?;
//! # assert_eq!(position, Position::SPLIT_START);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Guarantees
//!
//! - **The other side cannot cause harm by breaking the rules.** Each descriptor is copied out of
//!   shared memory once and checked, and only the copy is used. A broken rule is reported once as a
//!   [`Violation`], and the queue is idle from then on. The other side cannot cause a panic, an
//!   access outside shared memory, or unbounded work.
//! - **Nothing is visible until `publish`.** Stage as many buffers as you like, then publish all of
//!   them with one store and one decision whether to notify.
//! - **No wake-up is lost.** `publish` decides whether to notify, and `arm` checks the queue once
//!   more; neither step can be forgotten. If you use `publish_silently` with a polling peer, call
//!   `publish` before you go to sleep. See [`notify`].
//! - **A chain cannot be completed twice.** `pop` returns a [`Token`], and `complete` consumes the
//!   token. After a reset, older tokens are refused. On the driver's side, the cookie that was
//!   passed to `add` comes out of `reap` exactly once.
//! - **The caller provides the storage.** Each end needs a slice with one slot for each descriptor:
//!   an array in a static, a `Box<[Slot]>`, or a `&mut [Slot]`.
//! - **All unsafe code is in one module**: see [`memory`].
//!
//! # Limits
//!
//! - An end belongs to one thread at a time. The two ends of a queue may be on different threads or
//!   in different processes.
//! - There is no way to wait for a free descriptor or for a buffer: `arm` says when it is safe to
//!   sleep, and the caller sleeps.
//! - Negotiation, configuration space and notifications belong to the transport, which the caller
//!   provides.
//!
//! # Speed and size
//!
//! A [burst] makes many series of calls faster, and takes more code. Its documentation says when to
//! use a burst. The calls that a queue itself has for each buffer (`add`, `reap`, `pop` and
//! `complete`) are inlined into their caller for buffers of one segment. Longer buffers and all
//! errors are handled in separate functions. Inlining is fastest where each call has one call site,
//! as in a loop over a burst. If you make one of these calls in several places and care about code
//! size, wrap the call in a function.

#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(missing_docs)]
#![warn(clippy::std_instead_of_core, clippy::alloc_instead_of_core)]

mod admission;
pub mod burst;
mod chain;
mod chain_bounds;
pub mod device;
pub mod driver;
pub mod error;
mod features;
mod gathering;
pub mod index;
mod indirect;
mod iterated;
mod layout;
pub mod memory;
pub mod notify;
pub mod packed;
pub mod payload;
pub mod porting;
mod position;
pub mod recovery;
mod ring;
mod segment;
mod serving;
mod setup;
mod slots;
pub mod split;
mod tables;

pub use chain::{Chain, ChainRecord, Token};
pub use device::DeviceQueue;
pub use driver::DriverQueue;
pub use error::{AddError, CompleteError, PopError, SetupError, Violation};
pub use features::Features;
pub use index::QueueSize;
pub use layout::{AreaLayout, Layout};
pub use notify::{Arm, Notify};
pub use payload::{Reader, Writer};
pub use position::Position;
pub use segment::Segment;
pub use setup::{Areas, Setup};
