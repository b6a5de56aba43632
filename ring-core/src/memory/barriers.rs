//! What orders memory accesses between the two sides of a queue.

// UNSAFETY: a platform's barriers are instructions that the compiler has no name for.
#![expect(unsafe_code)]

use core::fmt::Debug;
use core::sync::atomic::{self, Ordering};

/// How the accesses of one side are ordered for the other.
///
/// [`RawMemory`](super::RawMemory) issues these beside its atomics. An implementation for a platform that
/// is not among [`Platform`]'s makes each of the three at least as strong as it is described here.
pub trait Barriers: Copy + Debug {
    /// Comes after a load that found something published: later accesses stay after it.
    fn acquire();

    /// Comes before a store that publishes: earlier accesses stay before it.
    fn release();

    /// Earlier stores come before later loads.
    fn full();
}

/// The other side runs on processors of the same system: a hypervisor's device, a virtual machine's
/// driver, another process. The atomics order everything but stores before loads.
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

/// The other side may be real hardware, which is what
/// [`ORDER_PLATFORM`](crate::Features::ORDER_PLATFORM) says (VIRTIO 1.4, 6 "Reserved Feature Bits").
///
/// The barriers reach as far as a coherent device that accesses memory on its own: on x86 the processor
/// orders enough by itself, but for stores before loads; on Arm they cover the outer shareable domain, on
/// RISC-V memory and I/O. A platform whose devices are not coherent needs [`Barriers`] of its own.
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
        // Unlike the locked instruction that a fence may become, this one also orders write-combining
        // memory.
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
