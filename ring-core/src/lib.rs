//! VIRTIO virtqueues.
#![no_std]
