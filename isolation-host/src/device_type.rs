//! The properties of a device type that isolation-host needs. vhost-user does not transmit the
//! type.

use clap::ValueEnum;

/// The type of the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DeviceType {
    /// A block device. Its requests can be repeated, so a guest survives a crash of the device.
    Blk,
    /// A network device.
    Net,
    /// A file system device, without DAX.
    Fs,
    /// A sound device.
    Snd,
    /// Any other device whose buffers carry all its data and no guest addresses.
    #[default]
    Generic,
}

/// What happens to the requests in flight when their queue is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtStop {
    /// Wait until the device has finished them.
    Finish,
    /// Wait as long as requests keep completing: idle buffers cannot be told from active requests.
    FinishWhileBusy,
    /// Return them to the guest's ring immediately, because they are idle buffers, or because the
    /// device returns them itself.
    Unpop,
}

impl DeviceType {
    /// Returns the name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Blk => "blk",
            Self::Net => "net",
            Self::Fs => "fs",
            Self::Snd => "snd",
            Self::Generic => "generic",
        }
    }

    /// Returns what happens to the requests in flight on a queue when the queue is stopped.
    #[must_use]
    pub const fn at_stop(self, queue: usize) -> AtStop {
        match (self, queue) {
            (Self::Blk | Self::Fs, _) | (Self::Snd, 0) => AtStop::Finish,
            // Even queues receive (VIRTIO 1.4, 5.1.2 "Virtqueues").
            (Self::Net, _) if queue % 2 == 0 => AtStop::Unpop,
            (Self::Net, _) => AtStop::Finish,
            // Queue 1 is for events, and queue 3 receives (VIRTIO 1.4, 5.14.2 "Virtqueues"). Queue
            // 2 has the audio to play: if all messages of ALSA's buffer were returned during a
            // pause, ALSA's hardware pointer would be back where it was, and Linux would wait.
            (Self::Snd, 1..=3) => AtStop::Unpop,
            (Self::Snd | Self::Generic, _) => AtStop::FinishWhileBusy,
        }
    }

    /// Returns whether the last writable byte of each request is its status.
    ///
    /// See VIRTIO 1.4, 5.2.6 "Device Operation".
    #[must_use]
    pub const fn has_status(self) -> bool {
        match self {
            Self::Blk => true,
            Self::Net | Self::Fs | Self::Snd | Self::Generic => false,
        }
    }

    /// Returns whether used requests may belong together, so that the guest has to get all of them
    /// at once.
    ///
    /// A network device can spread a packet over several receive buffers (VIRTIO 1.4, 5.1.6.4
    /// "Processing of Incoming Packets").
    #[must_use]
    pub const fn joins_buffers(self) -> bool {
        match self {
            Self::Net => true,
            Self::Blk | Self::Fs | Self::Snd | Self::Generic => false,
        }
    }

    /// Returns whether the requests of a crashed device may be submitted to its successor.
    #[must_use]
    pub const fn survives_restart(self) -> bool {
        match self {
            // Disk requests can be repeated, and networks may duplicate and delay frames.
            Self::Blk | Self::Net => true,
            // The device's state, such as open files and streams, is lost.
            Self::Fs | Self::Snd | Self::Generic => false,
        }
    }

    /// Returns whether the log feature announces a migration to the device.
    ///
    /// virtiofsd, for example, then prepares its state.
    #[must_use]
    pub const fn prepares_for_migration(self) -> bool {
        match self {
            Self::Fs | Self::Generic => true,
            Self::Blk | Self::Net | Self::Snd => false,
        }
    }

    /// Returns how many queues one unit of the reported number stands for.
    ///
    /// Network devices report pairs.
    #[must_use]
    pub const fn queues_per_unit(self) -> u64 {
        match self {
            Self::Net => 2,
            Self::Blk | Self::Fs | Self::Snd | Self::Generic => 1,
        }
    }

    /// Returns the number of queues of a device that does not report it.
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
