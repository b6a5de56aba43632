//! What isolation-host has to know of a device's type. vhost-user does not say it.

use clap::ValueEnum;

/// The type of the device, as far as it makes a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DeviceType {
    /// A block device. Requests may be repeated, so a crash of the device costs the guest only time.
    Blk,
    /// A network interface.
    Net,
    /// A file system (without DAX).
    Fs,
    /// A sound card.
    Snd,
    /// Any other device whose buffers carry all its data, and no guest addresses.
    #[default]
    Generic,
}

/// What happens to the requests in flight when their queue is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtStop {
    /// They are waited for: the device finishes them in its own time.
    Finish,
    /// They are waited for as long as one after the other is finished. Nobody knows which of them the device is
    /// working on, and which are buffers for what may come.
    FinishWhileBusy,
    /// The guest has them back at once: they are buffers for what may come.
    Unpop,
}

impl DeviceType {
    /// What happens to the requests in flight on a queue when it is stopped.
    #[must_use]
    pub const fn at_stop(self, queue: usize) -> AtStop {
        match (self, queue) {
            (Self::Blk | Self::Fs, _) | (Self::Snd, 0) => AtStop::Finish,
            // Even queues receive (VIRTIO 1.4, 5.1.2 "Virtqueues"); 5.14.2: 1 is for events, 3 receives.
            (Self::Net, _) if queue.is_multiple_of(2) => AtStop::Unpop,
            (Self::Net, _) => AtStop::Finish,
            (Self::Snd, 1 | 3) => AtStop::Unpop,
            (Self::Snd | Self::Generic, _) => AtStop::FinishWhileBusy,
        }
    }

    /// Whether the last writable byte of each request is its status, which the device writes even where it does
    /// not count it (VIRTIO 1.4, 5.2.6 "Device Operation"): SPDK's `used.len` lacks it.
    #[must_use]
    pub const fn writes_status_last(self) -> bool {
        matches!(self, Self::Blk)
    }

    /// The status byte that says that a request failed, where there is one (`VIRTIO_BLK_S_IOERR`).
    #[must_use]
    pub const fn failure_status(self) -> Option<u8> {
        match self {
            Self::Blk => Some(1),
            Self::Net | Self::Fs | Self::Snd | Self::Generic => None,
        }
    }

    /// Whether requests that a crashed device had taken may be given to its successor.
    #[must_use]
    pub const fn survives_restart(self) -> bool {
        match self {
            // Frames that are sent twice or arrive late are what networks do.
            Self::Blk | Self::Net => true,
            // The device's state (open files, streams) died with it.
            Self::Fs | Self::Snd | Self::Generic => false,
        }
    }

    /// Whether the device has a state to prepare for a migration, and takes being told to log for the sign that one is
    /// coming, as virtiofsd does.
    #[must_use]
    pub const fn prepares_for_migration(self) -> bool {
        match self {
            Self::Fs | Self::Generic => true,
            Self::Blk | Self::Net | Self::Snd => false,
        }
    }

    /// How many queues one unit of the device's queue number stands for: network devices count pairs.
    #[must_use]
    pub const fn queues_per_unit(self) -> u64 {
        match self {
            Self::Net => 2,
            Self::Blk | Self::Fs | Self::Snd | Self::Generic => 1,
        }
    }

    /// How many queues a device of this type has if it does not say.
    #[must_use]
    pub const fn usual_queues(self) -> u16 {
        match self {
            Self::Blk => 1,
            Self::Net => 2,
            Self::Fs => 2,
            Self::Snd => 4,
            Self::Generic => 8,
        }
    }
}
