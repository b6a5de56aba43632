//! VIRTIO virtqueues, whole: split and packed, driver and device.
//!
//! This crate has no `std`, no allocation and no I/O. It moves buffers between a driver and a device
//! through memory that both share, and says when to notify the other side; how that memory is mapped and
//! how a notification travels is the caller's.
//!
//! | | split | packed |
//! |---|---|---|
//! | driver | [`split::DriverQueue`] | [`packed::DriverQueue`] |
//! | device | [`split::DeviceQueue`] | [`packed::DeviceQueue`] |
//!
//! [`DriverQueue`] and [`DeviceQueue`] are either format, as negotiated.
//!
//! # Both ends of one request
//!
//! ```
//! use ring_core::memory::{Memory, RawMemory};
//! use ring_core::{Areas, DeviceQueue, DriverQueue, Features, QueueSize, Segment, Setup, device, driver};
//!
//! for features in [Features::empty(), Features::RING_PACKED] {
//!     // Memory that both sides see, and where the areas of a queue of four lie in it.
//!     let mut page = [0u64; 512];
//!     let memory = RawMemory::from_mut(&mut page, 0x1000);
//!     let setup = Setup::new(4, features, Areas { descriptor: 0x1000, driver: 0x1100, device: 0x1200 });
//!     let mut driver = DriverQueue::new(memory.clone(), &setup, [driver::Slot::EMPTY; 4])?;
//!     let mut device = DeviceQueue::new(memory.clone(), &setup, [device::Slot::EMPTY; 4])?;
//!
//!     // The driver asks a question and provides room for the answer.
//!     memory.write_bytes(0x1800, b"ping")?;
//!     driver.add(&[Segment::new(0x1800, 4)], &[Segment::new(0x1900, 16)], "request 1")?;
//!     assert!(driver.publish().is_needed());
//!
//!     // The device takes it, answers, and returns it.
//!     let mut segments = [Segment::default(); 4];
//!     let chain = device.pop(&mut segments)?.expect("the driver has published a buffer");
//!     assert_eq!(chain.readable(), [Segment::new(0x1800, 4)]);
//!     memory.write_bytes(chain.writable()[0].address, b"pong")?;
//!     device.complete(chain.into_token(), 4)?;
//!     assert!(device.publish().is_needed());
//!
//!     // The driver has its buffer back.
//!     let used = driver.reap()?.expect("the device has published the buffer");
//!     assert_eq!((used.cookie, used.written), ("request 1", 4));
//! }
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! # In a kernel
//!
//! The driver end of a queue of 16 in one page, with its bookkeeping in an array. The addresses in segments
//! are those that the device uses, here physical ones. The example `firmware` is a whole program like this:
//! it drives QEMU's devices over virtio-mmio.
//!
//! ```
//! use core::ptr::NonNull;
//!
//! use ring_core::memory::RawMemory;
//! use ring_core::{DriverQueue, Features, Segment, Setup, driver};
//! # let negotiated = Features::VERSION_1 | Features::RING_PACKED;
//! # let mut pages = vec![[0u64; 512]; 1];
//! # let (page, physical) = (NonNull::from(&mut pages[..]).cast::<u8>(), 0x4000_0000);
//! # let (request, answer) = (0x4100_0000, 0x4100_1000);
//! # let notify = |queue_index: u16| {};
//!
//! // `page` is a page from the DMA allocator, which the device knows as `physical`.
//! // It stays mapped for as long as the queue lives, and nothing but the queue uses it, so this is sound.
//! let memory = unsafe { RawMemory::new(page, physical, 4096) };
//! let (setup, _bytes) = Setup::contiguous(physical, 16, negotiated)?;
//! let mut queue = DriverQueue::new(memory, &setup, [driver::Slot::EMPTY; 16])?;
//! // Tell the device the size and the three addresses, and enable the queue. Then, for each request:
//! queue.add(&[Segment::new(request, 16)], &[Segment::new(answer, 512)], "whose request it is")?;
//! if queue.publish().is_needed() {
//!     notify(0);
//! }
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! # On a host
//!
//! With the feature `vm-memory`, the device end serves a queue in a virtual machine's memory. What is written
//! is marked dirty where the memory has a bitmap, and an area keeps its region mapped.
//!
//! ```
//! use std::sync::Arc;
//!
//! use ring_core::memory::VmMemory;
//! use ring_core::{Areas, DeviceQueue, Features, Position, Setup, device};
//! use vm_memory::{GuestAddress, GuestMemoryMmap};
//!
//! let mapped = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(0), 0x10000)])?;
//! let setup = Setup::new(256, Features::VERSION_1 | Features::EVENT_IDX, Areas { descriptor: 0x1000, driver: 0x2000, device: 0x3000 });
//! let slots = vec![device::Slot::EMPTY; 256].into_boxed_slice();
//! let mut queue = DeviceQueue::new(VmMemory::new(Arc::new(mapped)), &setup, slots)?;
//! // A front-end says where to go on: here, at the vring base 0.
//! let position = queue.position_of(0);
//! queue.resume(position)?;
//! # assert_eq!(position, Position::SPLIT_START);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What you can rely on
//!
//! - **A peer that breaks the rules cannot hurt.** Each descriptor is copied out of shared memory once and
//!   checked; only the copy is used. A rule that is broken is a [`Violation`], reported once, and the queue
//!   is idle from then on. No panic, no access outside the areas and no unbounded work is reachable.
//! - **Nothing is visible until `publish`.** Batches are the primitive: stage as many buffers as you like,
//!   then publish them with one store and one decision whether to notify.
//! - **No wake-up is lost.** The decision to notify belongs to `publish`, and the look back at the queue
//!   belongs to `arm`; neither can be forgotten. (Who uses `publish_silently` for a peer that polls calls
//!   `publish` before it sleeps itself.) See [`notify`].
//! - **Completing twice does not compile.** `pop` makes a [`Token`], `complete` consumes it, and a reset
//!   turns those still around into errors. On the driver's side the cookie that goes in with `add` comes
//!   out of `reap` once.
//! - **Storage is yours.** Each end needs a slice of slots, one for each descriptor: an array in a static, a
//!   `Box<[Slot]>`, a `&mut [Slot]`.
//! - **All unsafe code is behind one seam**: see [`memory`].
//!
//! # Speed and size
//!
//! The calls that are made for each buffer, `add`, `reap`, `pop` and `complete`, are inlined into their caller as
//! far as buffers of one segment go; longer ones and all errors are in functions of their own. That is fastest
//! where each is called from one place, as in a loop over a burst. Who calls them from several places and
//! minds the size puts them into a function.

#![no_std]
#![deny(missing_docs)]
#![warn(clippy::std_instead_of_core, clippy::alloc_instead_of_core)]

mod admission;
mod chain;
pub mod device;
pub mod driver;
pub mod error;
mod features;
pub mod index;
mod indirect;
mod layout;
pub mod memory;
pub mod notify;
pub mod packed;
pub mod payload;
mod position;
pub mod recovery;
mod ring;
mod setup;
mod slots;
pub mod split;

pub use chain::{Chain, ChainRecord, Segment, Token};
pub use device::DeviceQueue;
pub use driver::DriverQueue;
pub use error::{AddError, CompleteError, PopError, SetupError, Violation};
pub use features::Features;
pub use index::QueueSize;
pub use layout::{AreaLayout, Layout};
pub use notify::{Arm, Notify};
pub use payload::{Reader, Writer};
pub use position::Position;
pub use setup::{Areas, Setup};
