//! Porting to ring-core: a driver with an interrupt handler, and the calls of other rings.
//!
//! This module has no items. It shows how a driver is built on the calls. Then, for each ring that
//! drivers and devices use today, it lists what behaves differently by default, and the calls of
//! ring-core that replace the ring's calls.
//!
//! # A driver with an interrupt handler
//!
//! The handler reaps what the device has returned, and arms. `arm` looks back at the queue: if the
//! device has returned a buffer in the meantime, `arm` returns
//! [`Arm::Pending`](crate::Arm::Pending), and the handler has to run again. So the handler cannot
//! miss a buffer, and needs no timer. Each run reaps at most the buffers that were in flight, so
//! other work can come between two runs, however fast the device is. The device in this example is
//! ring-core's other end.
//!
//! ```
//! use std::collections::VecDeque;
//!
//! use ring_core::error::AddErrorKind;
//! use ring_core::memory::{AlignedWord, Memory, RawMemory};
//! use ring_core::{Arm, DeviceQueue, DriverQueue, Features, Segment, Setup, Violation};
//! use ring_core::{device, driver};
//!
//! type Queue<'m> = DriverQueue<RawMemory<'m>, [driver::Slot<u32>; 4], u32>;
//!
//! /// A driver that sends numbered requests.
//! struct Driver<'m> {
//!     queue: Queue<'m>,
//!     /// The requests that wait for free descriptors.
//!     waiting: VecDeque<u32>,
//!     finished: Vec<u32>,
//! }
//!
//! impl Driver<'_> {
//!     /// Adds requests as long as there is room. Returns whether to notify the device.
//!     fn submit(&mut self) -> bool {
//!         while let Some(request) = self.waiting.pop_front() {
//!             let writable = [Segment::new(0x1800 + 16 * u64::from(request), 16)];
//!             match self.queue.add(&[], &writable, request) {
//!                 Ok(_id) => {}
//!                 Err(error) if matches!(error.kind, AddErrorKind::Full { .. }) => {
//!                     self.waiting.push_front(error.cookie);
//!                     break;
//!                 }
//!                 Err(error) => panic!("the driver made a bad request: {error}"),
//!             }
//!         }
//!         // One store and one decision for all requests.
//!         self.queue.publish().is_needed()
//!     }
//!
//!     /// The interrupt handler. Also called once to start. Has to be called again after
//!     /// [`Arm::Pending`].
//!     fn interrupt(&mut self, kick: &mut impl FnMut()) -> Result<Arm, Violation> {
//!         let mut burst = self.queue.burst();
//!         while let Some(used) = burst.reap()? {
//!             self.finished.push(used.cookie);
//!         }
//!         drop(burst);
//!         // There is room again.
//!         if self.submit() {
//!             kick();
//!         }
//!         // After `Arm::Armed`, the next buffer that the device returns causes an interrupt.
//!         // `Arm::Stopped` follows a violation, which `reap` has reported: reset the device.
//!         Ok(self.queue.arm())
//!     }
//! }
//!
//! for features in [Features::EVENT_IDX, Features::EVENT_IDX | Features::RING_PACKED] {
//!     let mut page = [AlignedWord::ZERO; 512];
//!     let memory = RawMemory::from_mut(&mut page, 0x1000);
//!     let (setup, _) = Setup::contiguous(0x1000, 4, features)?;
//!     let queue = DriverQueue::new(memory.clone(), &setup, [driver::Slot::EMPTY; 4])?;
//!     let mut driver = Driver { queue, waiting: (0..100).collect(), finished: Vec::new() };
//!     let mut device = DeviceQueue::new(memory.clone(), &setup, [device::Slot::EMPTY; 4])?;
//!
//!     let kicked = std::cell::Cell::new(false);
//!     let mut kick = || kicked.set(true);
//!     assert_eq!(driver.interrupt(&mut kick)?, Arm::Armed);
//!     // The device runs when it is kicked, and interrupts the driver if the driver asks for it.
//!     while kicked.replace(false) {
//!         let mut burst = device.burst();
//!         burst.serve(&mut [Segment::default(); 4], 4, |_, writable| {
//!             memory.write_bytes(writable[0].address, &[7; 16]).map_or(0, |()| 16)
//!         })?;
//!         let interrupt = burst.publish().is_needed();
//!         assert_eq!(device.arm(), Arm::Armed);
//!         if interrupt {
//!             while driver.interrupt(&mut kick)? == Arm::Pending {}
//!         }
//!     }
//!     assert!(driver.finished.iter().copied().eq(0..100));
//! }
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! A driver that wants an interrupt for each buffer calls [`arm_always`] once instead of `arm`. A
//! driver that need not know at once, such as a network driver about packets that were sent, calls
//! [`arm_after`].
//!
//! # Buffers that have to be unmapped
//!
//! A driver behind an IOMMU, or one with bounce buffers, needs the addresses of a buffer again when
//! the buffer comes back. A queue does not keep the addresses, because the cookie can keep them:
//! let the cookie own what the driver has to undo. If `add` fails, it returns the cookie, so an
//! error loses nothing. (Linux keeps the addresses in `desc_extra`; `Hal::unshare` of
//! virtio-drivers asks for them.)
//!
//! Where the cookie must stay small, keep a table of your own, indexed by the id that `add` returns
//! and that [`Used::id`](crate::driver::Used::id) repeats. Indirect tables in
//! [`add_indirect_in`](crate::DriverQueue::add_indirect_in) have to be kept in such a table,
//! because a cookie cannot own bytes that the same call borrows.
//!
//! ```
//! use ring_core::memory::{AlignedWord, Memory, RawMemory};
//! use ring_core::{DeviceQueue, DriverQueue, Features, Segment, Setup, device, driver};
//!
//! /// A buffer of the driver's caller, and the memory that the device knows in its place.
//! struct Bounced {
//!     buffer: Vec<u8>,
//!     bounce: Segment,
//! }
//!
//! let mut page = [AlignedWord::ZERO; 512];
//! let memory = RawMemory::from_mut(&mut page, 0x1000);
//! let (setup, _) = Setup::contiguous(0x1000, 4, Features::empty())?;
//! let mut queue = DriverQueue::new(memory.clone(), &setup, [const { driver::Slot::EMPTY }; 4])?;
//! let mut free_bounces = vec![Segment::new(0x1800, 64), Segment::new(0x1840, 64)];
//! # let mut device = DeviceQueue::new(memory.clone(), &setup, [device::Slot::EMPTY; 4])?;
//!
//! // Map ("share"): the device writes to the bounce buffer.
//! let bounce = free_bounces.pop().expect("two are free");
//! let id = queue.add(&[], &[bounce], Bounced { buffer: vec![0; 64], bounce })?;
//! let _ = queue.publish();
//! # let mut segments = [Segment::default(); 1];
//! # let chain = device.pop(&mut segments)?.unwrap().into_token();
//! # memory.write_bytes(bounce.address, b"received")?;
//! # device.complete(chain, 8)?;
//! # let _ = device.publish();
//!
//! // Unmap ("unshare"): copy back, and free the bounce buffer.
//! let used = queue.reap()?.expect("the device has returned the buffer");
//! assert_eq!(used.id, id);
//! let Bounced { mut buffer, bounce } = used.cookie;
//! memory.read_bytes(bounce.address, &mut buffer[..used.written as usize])?;
//! free_bounces.push(bounce);
//! assert_eq!((&buffer[..8], free_bounces.len()), (&b"received"[..], 2));
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! # From virtio-drivers' `VirtQueue`
//!
//! Different by default:
//!
//! - There, the device interrupts for every buffer, until `set_dev_notify(false)`. Here, `reap`
//!   withdraws the request that [`arm`] made. Call [`arm`] after each round, or [`arm_always`]
//!   once.
//! - There, each `add` makes its buffer available. Here, [`publish`] makes all added buffers
//!   available.
//! - There, `add` is unsafe. Here, the creator of [`Dma`] makes one promise for all segments.
//! - There, the token has to be given back with the buffers. Here, the cookie can own them.
//!
//! | there | here |
//! |---|---|
//! | `VirtQueue::new` | [`DriverQueue::new`] |
//! | `add(inputs, outputs)` | [`add`] or [`add_iter`], then [`publish`] or [`publish_silently`] |
//! | `add` with indirect descriptors | [`add_indirect_in`] |
//! | `should_notify()` | the result of [`publish`]: ask once, after adding |
//! | `can_pop()` | [`pending`] |
//! | `peek_used()` | [`peek`] |
//! | `pop_used(token, …)` | [`reap`] |
//! | `add_notify_wait_pop` | [`add`], [`publish`], then [`reap`] until there is a buffer |
//! | `set_dev_notify(true)`, `(false)` | [`arm_always`], [`disarm`] |
//! | `available_desc()` | [`free`] |
//! | `Hal::share`, `Hal::unshare` | the caller's, see above |
//!
//! # From rust-vmm's `virtio-queue`
//!
//! Different by default:
//!
//! - There, `add_used` makes a chain visible. Here, [`complete`] stages it and
//!   [`DeviceQueue::publish`] makes the batch visible.
//! - There, a chain is read while the device walks it, and a broken chain ends early. Here, `pop`
//!   copies and checks the whole chain, and a broken chain is a [`Violation`].
//! - There, the driver is asked to notify until `disable_notification`. Here, `pop` withdraws the
//!   request.
//! - There, memory is an argument of each call. Here, the queue has its memory: use
//!   [`remap`] when the guest's memory changes.
//!
//! | there | here |
//! |---|---|
//! | `Queue::new`, `set_size`, `set_*_address` | [`Setup::new`], [`DeviceQueue::new`] |
//! | `is_valid` | the errors of [`DeviceQueue::new`] |
//! | `pop_descriptor_chain`, `iter` | [`pop`] |
//! | `DescriptorChain::reader`, `writer` | [`Reader`], [`Writer`] |
//! | `add_used(mem, head, len)` | [`complete`] with the token, then [`DeviceQueue::publish`] |
//! | `needs_notification` | the result of [`DeviceQueue::publish`] |
//! | `enable_notification` | [`DeviceQueue::arm`]: `Pending` means go on |
//! | `disable_notification` | [`DeviceQueue::disarm`]; not needed after a successful `pop` |
//! | `go_to_previous_position` | [`unpop`] |
//! | `next_avail`, `set_next_avail` | [`position`], [`resume`]; [`vring_base`], [`position_of`] |
//! | `reset` | [`DeviceQueue::reset`] |
//! | `lock`, `QueueSync` | the caller's lock |
//!
//! # From Linux's `virtio_ring`
//!
//! Different by default:
//!
//! - There, callbacks stay enabled until `virtqueue_disable_cb`. Here, `reap` withdraws the request
//!   that [`arm`] made.
//! - There, indirect tables are allocated when they save descriptors. Here, the caller decides for
//!   each buffer, and provides the table.
//! - There, each add makes its buffer available, and the kick decides whether to notify. Here,
//!   [`publish`] does both, once for all buffers.
//! - There, buffers are mapped by the ring, unless they are premapped. Here, all are premapped.
//!
//! | there | here |
//! |---|---|
//! | `vring_new_virtqueue`, `vring_create_virtqueue` | [`DriverQueue::new`] |
//! | `virtqueue_add_sgs`, `_outbuf`, `_inbuf`, `_premapped` | [`add_iter`], [`add`] |
//! | `virtqueue_kick_prepare` | [`publish`] |
//! | `virtqueue_notify` | the caller's, if [`publish`] says so |
//! | `virtqueue_get_buf`, `_ctx` | [`reap`]: the cookie is the data and the context |
//! | `virtqueue_enable_cb` | [`arm`]: `Pending` is `false` there |
//! | `virtqueue_enable_cb_delayed` | [`arm_after`] with ¾ of [`in_flight`] |
//! | `virtqueue_disable_cb` | [`disarm`]; not needed after a successful [`reap`] |
//! | `virtqueue_poll` | [`pending`] |
//! | `virtqueue_detach_unused_buf`, `virtqueue_reset` | [`DriverQueue::reset`] |
//! | `virtqueue_is_broken` | the [`Violation`] of [`reap`], reported once |
//! | `vring_notification_data` | [`notification_data`] |
//! | `weak_barriers` | [`Smp`], [`Platform`], or [`NegotiatedBarriers`] |
//!
//! # From libblkio's `virtio-driver`
//!
//! Different by default:
//!
//! - There, `add_request` makes its request available. Here, [`publish`] makes all added requests
//!   available.
//! - There, the ring keeps memory for headers and status bytes beside the areas. Here, this memory
//!   is the caller's, for example indexed by the id that [`add`] returns.
//! - There, used notifications that are enabled come for every request. Here, `reap` withdraws the
//!   request that [`arm`] made.
//!
//! | there | here |
//! |---|---|
//! | `VirtqueueLayout::new`, `Virtqueue::new` | [`Setup::contiguous`], [`DriverQueue::new`] |
//! | `IovaTranslator` | the caller's: segments have the addresses that the device knows |
//! | `add_request(prepare)` | [`add_iter`], then [`publish`] |
//! | `avail_notif_needed()` | the result of [`publish`] |
//! | `completions()` | [`reap`] until there is no buffer |
//! | `has_next()` | [`pending`] |
//! | `VirtqueueCompletion::id`, `req` | [`Used::id`](crate::driver::Used::id), the cookie |
//! | `set_used_notif_enabled(true)`, `(false)` | [`arm_always`], [`disarm`] |
//! | `blkioq_do_io` | [`publish`], [`reap`], then [`arm`] before waiting |
//!
//! [`DriverQueue::new`]: crate::DriverQueue::new
//! [`DriverQueue::reset`]: crate::DriverQueue::reset
//! [`add`]: crate::DriverQueue::add
//! [`add_iter`]: crate::DriverQueue::add_iter
//! [`add_indirect_in`]: crate::DriverQueue::add_indirect_in
//! [`publish`]: crate::DriverQueue::publish
//! [`publish_silently`]: crate::DriverQueue::publish_silently
//! [`reap`]: crate::DriverQueue::reap
//! [`pending`]: crate::DriverQueue::pending
//! [`peek`]: crate::DriverQueue::peek
//! [`arm`]: crate::DriverQueue::arm
//! [`arm_always`]: crate::DriverQueue::arm_always
//! [`arm_after`]: crate::DriverQueue::arm_after
//! [`disarm`]: crate::DriverQueue::disarm
//! [`free`]: crate::DriverQueue::free
//! [`in_flight`]: crate::DriverQueue::in_flight
//! [`notification_data`]: crate::DriverQueue::notification_data
//! [`DeviceQueue::new`]: crate::DeviceQueue::new
//! [`DeviceQueue::publish`]: crate::DeviceQueue::publish
//! [`DeviceQueue::arm`]: crate::DeviceQueue::arm
//! [`DeviceQueue::disarm`]: crate::DeviceQueue::disarm
//! [`DeviceQueue::reset`]: crate::DeviceQueue::reset
//! [`pop`]: crate::DeviceQueue::pop
//! [`complete`]: crate::DeviceQueue::complete
//! [`unpop`]: crate::DeviceQueue::unpop
//! [`remap`]: crate::DeviceQueue::remap
//! [`position`]: crate::DeviceQueue::position
//! [`resume`]: crate::DeviceQueue::resume
//! [`vring_base`]: crate::DeviceQueue::vring_base
//! [`position_of`]: crate::DeviceQueue::position_of
//! [`Setup::new`]: crate::Setup::new
//! [`Setup::contiguous`]: crate::Setup::contiguous
//! [`Reader`]: crate::Reader
//! [`Writer`]: crate::Writer
//! [`Violation`]: crate::Violation
//! [`Dma`]: crate::memory::Dma
//! [`Smp`]: crate::memory::Smp
//! [`Platform`]: crate::memory::Platform
//! [`NegotiatedBarriers`]: crate::memory::NegotiatedBarriers
