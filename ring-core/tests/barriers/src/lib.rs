//! The calls of both ends that publish, take and arm, each as a function of its own.
//!
//! `cargo xtask foreign` compiles this crate for processors with weakly ordered memory, and reads
//! the barriers in the assembly code.

#![no_std]

/// Defines a module with the calls of one format, with the barriers of one peer.
macro_rules! calls {
    ($name:ident, $format:ident, $barriers:ident) => {
        /// The calls of one format, with the barriers of one peer.
        pub mod $name {
            use ring_core::memory::{RawMemory, $barriers};
            use ring_core::{Arm, Chain, Notify, PopError, Segment, Violation, device, driver, $format};

            /// The driver end.
            pub type DriverQueue =
                $format::DriverQueue<RawMemory<'static, $barriers>, [driver::Slot<u16>; 8], u16>;
            /// The device end.
            pub type DeviceQueue = $format::DeviceQueue<RawMemory<'static, $barriers>, [device::Slot; 8]>;

            /// Publishes available buffers.
            pub fn driver_publish(queue: &mut DriverQueue) -> Notify {
                queue.publish()
            }

            /// Takes a used buffer.
            ///
            /// # Errors
            /// Fails as `reap` does.
            pub fn driver_reap(queue: &mut DriverQueue) -> Result<Option<driver::Used<u16>>, Violation> {
                queue.reap()
            }

            /// Arms the driver end.
            pub fn driver_arm(queue: &mut DriverQueue) -> Arm {
                queue.arm()
            }

            /// Publishes used buffers.
            pub fn device_publish(queue: &mut DeviceQueue) -> Notify {
                queue.publish()
            }

            /// Takes an available buffer.
            ///
            /// # Errors
            /// Fails as `pop` does.
            pub fn device_pop<'s>(
                queue: &mut DeviceQueue,
                segments: &'s mut [Segment],
            ) -> Result<Option<Chain<'s>>, PopError> {
                queue.pop(segments)
            }

            /// Arms the device end.
            pub fn device_arm(queue: &mut DeviceQueue) -> Arm {
                queue.arm()
            }
        }
    };
}

calls!(split_smp, split, Smp);
calls!(split_platform, split, Platform);
calls!(packed_smp, packed, Smp);
calls!(packed_platform, packed, Platform);
