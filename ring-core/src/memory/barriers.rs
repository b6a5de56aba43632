//! The ordering of memory accesses between the two sides of a queue.

// UNSAFETY: a platform's barriers are instructions for which the compiler has no name.
#![expect(unsafe_code)]

use core::fmt::Debug;
use core::sync::atomic::{self, Ordering};

use crate::features::Features;

/// How the accesses of one side are ordered for the other side.
///
/// [`RawMemory`](super::RawMemory) issues these barriers in addition to its atomics. An
/// implementation for a platform that [`Platform`] does not cover makes each barrier at least as
/// strong as described here.
pub trait Barriers: Copy + Debug {
    /// Follows a load that found something published: later accesses stay after the load.
    fn acquire(self);

    /// Precedes a store that publishes: earlier accesses stay before the store.
    fn release(self);

    /// Orders earlier stores before later loads.
    fn full(self);
}

/// The other side runs on processors of the same system: a hypervisor's device, a virtual machine's
/// driver, or another process. The atomics order everything but stores before loads.
///
/// Exhaustive, because these barriers have no parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Smp;

impl Barriers for Smp {
    #[inline]
    fn acquire(self) {}

    #[inline]
    fn release(self) {}

    #[inline]
    fn full(self) {
        atomic::fence(Ordering::SeqCst);
    }
}

/// The other side may be real hardware, as [`ORDER_PLATFORM`](crate::Features::ORDER_PLATFORM) says
/// (VIRTIO 1.4, 6 "Reserved Feature Bits").
///
/// The barriers extend to a coherent device that accesses memory on its own. On x86, the processor
/// orders everything but stores before loads. On Arm, the barriers cover the outer shareable
/// domain, and on RISC-V memory and I/O. On other processors, each barrier is a sequentially
/// consistent fence, which covers devices that take part in the processors' coherence. Other
/// platforms, and those whose devices are not coherent, need their own [`Barriers`].
///
/// Exhaustive, because these barriers have no parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Platform;

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
impl Barriers for Platform {
    #[inline]
    fn acquire(self) {
        atomic::compiler_fence(Ordering::Acquire);
    }

    #[inline]
    fn release(self) {
        atomic::compiler_fence(Ordering::Release);
    }

    #[inline]
    fn full(self) {
        // Unlike the locked instruction that a fence may become, `mfence` also orders accesses to
        // write-combining memory.
        // SAFETY: `mfence` has no operand and changes no register, flag or stack.
        unsafe { core::arch::asm!("mfence", options(nostack, preserves_flags)) };
    }
}

#[cfg(target_arch = "aarch64")]
impl Barriers for Platform {
    #[inline]
    fn acquire(self) {
        // SAFETY: a barrier has no operand and changes no register, flag or stack.
        unsafe { core::arch::asm!("dmb oshld", options(nostack, preserves_flags)) };
    }

    #[inline]
    fn release(self) {
        // Earlier loads also have to stay before the barrier, so `oshst` is not sufficient.
        // SAFETY: as above.
        unsafe { core::arch::asm!("dmb osh", options(nostack, preserves_flags)) };
    }

    #[inline]
    fn full(self) {
        // SAFETY: as above.
        unsafe { core::arch::asm!("dmb osh", options(nostack, preserves_flags)) };
    }
}

#[cfg(target_arch = "riscv64")]
impl Barriers for Platform {
    #[inline]
    fn acquire(self) {
        // SAFETY: a fence has no register operand and changes no register, flag or stack.
        unsafe { core::arch::asm!("fence ir, iorw", options(nostack, preserves_flags)) };
    }

    #[inline]
    fn release(self) {
        // SAFETY: as above.
        unsafe { core::arch::asm!("fence iorw, ow", options(nostack, preserves_flags)) };
    }

    #[inline]
    fn full(self) {
        // SAFETY: as above.
        unsafe { core::arch::asm!("fence iorw, iorw", options(nostack, preserves_flags)) };
    }
}

#[cfg(not(any(
    target_arch = "x86",
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64"
)))]
impl Barriers for Platform {
    #[inline]
    fn acquire(self) {
        atomic::fence(Ordering::SeqCst);
    }

    #[inline]
    fn release(self) {
        atomic::fence(Ordering::SeqCst);
    }

    #[inline]
    fn full(self) {
        atomic::fence(Ordering::SeqCst);
    }
}

/// Barriers that are chosen at run time, for a driver that learns by negotiation whether its device
/// is real hardware. Each barrier costs a branch.
///
/// ```
/// use ring_core::Features;
/// use ring_core::memory::NegotiatedBarriers;
///
/// let negotiated = Features::VERSION_1 | Features::ORDER_PLATFORM;
/// assert_eq!(NegotiatedBarriers::from(negotiated), NegotiatedBarriers::Platform);
/// ```
///
/// Exhaustive, because [`ORDER_PLATFORM`](crate::Features::ORDER_PLATFORM) is negotiated or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NegotiatedBarriers {
    /// The barriers of [`Smp`].
    Smp,
    /// The barriers of [`Platform`].
    Platform,
}

impl From<Features> for NegotiatedBarriers {
    fn from(negotiated: Features) -> Self {
        if negotiated.contains(Features::ORDER_PLATFORM) { Self::Platform } else { Self::Smp }
    }
}

impl Barriers for NegotiatedBarriers {
    #[inline]
    fn acquire(self) {
        match self {
            Self::Smp => Smp.acquire(),
            Self::Platform => Platform.acquire(),
        }
    }

    #[inline]
    fn release(self) {
        match self {
            Self::Smp => Smp.release(),
            Self::Platform => Platform.release(),
        }
    }

    #[inline]
    fn full(self) {
        match self {
            Self::Smp => Smp.full(),
            Self::Platform => Platform.full(),
        }
    }
}
