//! The models. Each has two threads, one at each end of a small queue. loom runs every interleaving
//! that it finds.

mod batches;
mod crashes;
mod pauses;
mod requests;
mod resets;
mod sleepers;

pub(crate) use batches::{a_driver_peeks, batches_arrive_whole, bursts_arrive_whole};
pub(crate) use crashes::{a_device_crashes_after_the_publish, a_device_crashes_before_the_publish};
pub(crate) use pauses::{
    a_chain_is_given_back, a_device_pauses, a_device_pauses_with_completions, a_driver_pauses,
};
pub(crate) use requests::{
    a_device_arms_for_several_buffers, a_device_asks_once_for_every_buffer, a_device_disarms,
    a_driver_arms_for_several_buffers, a_driver_asks_once_for_every_buffer, a_driver_disarms,
};
pub(crate) use resets::a_late_completion_returns_its_buffer_once;
pub(crate) use sleepers::{
    a_sleeping_device_is_notified, a_sleeping_driver_is_notified, both_sides_begin_elsewhere,
    both_sides_sleep, silently_available_buffers_are_announced, silently_used_buffers_are_announced,
};
