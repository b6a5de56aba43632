//! The ordering of memory accesses between the two sides of a queue.

// UNSAFETY: a platform's barriers are instructions for which the compiler has no name.
#![expect(unsafe_code)]

use core::fmt::Debug;
use core::sync::atomic::{self, Ordering};

/// How the accesses of one side are ordered for the other side.
///
/// [`RawMemory`](super::RawMemory) issues these barriers in addition to its atomics. An
/// implementation for a platform that [`Platform`] does not cover makes each barrier at least as
/// strong as described here.
pub trait Barriers: Copy + Debug {
    /// Follows a load that found something published: later accesses stay after the load.
    fn acquire();

    /// Precedes a store that publishes: earlier accesses stay before the store.
    fn release();

    /// Orders earlier stores before later loads.
    fn full();
}

/// The other side runs on processors of the same system: a hypervisor's device, a virtual machine's
/// driver, or another process. The atomics order everything but stores before loads.
#[derive(Clone, Copy, Debug)]
pub enum Smp {}

impl Barriers for Smp {
    #[inline]
    fn acquire() {}

    #[inline]
    fn release() {}

    #[inline]
    fn full() {
        atomic::fence(Ordering::SeqCst);
    }
}

/// The other side may be real hardware, as [`ORDER_PLATFORM`](crate::Features::ORDER_PLATFORM) says
/// (VIRTIO 1.4, 6 "Reserved Feature Bits").
///
/// The barriers extend to a coherent device that accesses memory on its own. On x86, the processor
/// orders everything but stores before loads. On Arm, the barriers cover the outer shareable
/// domain, and on RISC-V memory and I/O. A platform whose devices are not coherent needs its own
/// [`Barriers`].
#[cfg(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
#[derive(Clone, Copy, Debug)]
pub enum Platform {}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
impl Barriers for Platform {
    #[inline]
    fn acquire() {
        atomic::compiler_fence(Ordering::Acquire);
    }

    #[inline]
    fn release() {
        atomic::compiler_fence(Ordering::Release);
    }

    #[inline]
    fn full() {
        // Unlike the locked instruction that a fence may become, `mfence` also orders accesses to
        // write-combining memory.
        // SAFETY: `mfence` has no operand and changes no register, flag or stack.
        unsafe { core::arch::asm!("mfence", options(nostack, preserves_flags)) };
    }
}

#[cfg(target_arch = "aarch64")]
impl Barriers for Platform {
    #[inline]
    fn acquire() {
        // SAFETY: a barrier has no operand and changes no register, flag or stack.
        unsafe { core::arch::asm!("dmb oshld", options(nostack, preserves_flags)) };
    }

    #[inline]
    fn release() {
        // Also earlier loads stay before it, hence not `oshst`.
        // SAFETY: as above.
        unsafe { core::arch::asm!("dmb osh", options(nostack, preserves_flags)) };
    }

    #[inline]
    fn full() {
        // SAFETY: as above.
        unsafe { core::arch::asm!("dmb osh", options(nostack, preserves_flags)) };
    }
}

#[cfg(target_arch = "riscv64")]
impl Barriers for Platform {
    #[inline]
    fn acquire() {
        // SAFETY: a fence has no register operand and changes no register, flag or stack.
        unsafe { core::arch::asm!("fence ir, iorw", options(nostack, preserves_flags)) };
    }

    #[inline]
    fn release() {
        // SAFETY: as above.
        unsafe { core::arch::asm!("fence iorw, ow", options(nostack, preserves_flags)) };
    }

    #[inline]
    fn full() {
        // SAFETY: as above.
        unsafe { core::arch::asm!("fence iorw, iorw", options(nostack, preserves_flags)) };
    }
}
