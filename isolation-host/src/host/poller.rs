//! Waiting for many file descriptors at once.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

/// How many events are taken at once.
const EVENTS: usize = 64;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A VMM wants to connect.
    Door,
    /// The VMM has sent something, or hung up.
    Vmm,
    /// The device has sent something, or hung up.
    Device,
    /// The device asks something of its own accord.
    DeviceRequest,
    /// The operator wants to know how it goes.
    Signal,
    /// Another thread has something to say.
    Bell,
    /// The guest has notified a queue.
    GuestKick(u16),
    /// The device has notified a queue.
    DeviceCall(u16),
}

impl Source {
    const fn to_data(self) -> EventData {
        let (kind, index) = match self {
            Self::Door => (0, 0),
            Self::Vmm => (1, 0),
            Self::Device => (2, 0),
            Self::Signal => (3, 0),
            Self::Bell => (4, 0),
            Self::DeviceRequest => (5, 0),
            Self::GuestKick(index) => (6, index),
            Self::DeviceCall(index) => (7, index),
        };
        EventData::new_u64(kind << 16 | index as u64)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the low 16 bits are the index")]
    fn from_data(data: EventData) -> Self {
        let index = data.u64() as u16;
        match data.u64() >> 16 {
            0 => Self::Door,
            1 => Self::Vmm,
            2 => Self::Device,
            3 => Self::Signal,
            4 => Self::Bell,
            5 => Self::DeviceRequest,
            6 => Self::GuestKick(index),
            _ => Self::DeviceCall(index),
        }
    }
}

/// The set of what is waited for.
#[derive(Debug)]
pub(super) struct Poller {
    epoll: OwnedFd,
}

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)? })
    }

    /// Waits for a file descriptor to become readable, from now on.
    pub(super) fn add(&self, fd: impl AsFd, source: Source) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, source.to_data(), EventFlags::IN)?)
    }

    /// Waits for each notification, from now on. There is one at once if any has come before.
    ///
    /// Nobody has to take notifications for the next one to be heard, which saves a system call for each.
    pub(super) fn add_notifier(&self, fd: impl AsFd, source: Source) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, source.to_data(), EventFlags::IN | EventFlags::ET)?)
    }

    /// Waits for it no longer, or only for its end.
    pub(super) fn pause(&self, fd: impl AsFd, source: Source) {
        let _ = epoll::modify(&self.epoll, fd, source.to_data(), EventFlags::empty());
    }

    /// Waits for it again.
    pub(super) fn go_on(&self, fd: impl AsFd, source: Source) {
        let _ = epoll::modify(&self.epoll, fd, source.to_data(), EventFlags::IN);
    }

    /// Forgets a file descriptor. It has to be called before the last copy of ours is closed, because the peer
    /// may have others.
    pub(super) fn remove(&self, fd: impl AsFd) {
        let _ = epoll::delete(&self.epoll, fd);
    }

    /// Waits until something happens, for at most so long.
    pub(super) fn wait(&self, within: Option<Duration>) -> io::Result<impl Iterator<Item = Source> + use<>> {
        let timeout = within.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
        let mut events = Vec::with_capacity(EVENTS);
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(events.into_iter().map(|event: Event| Source::from_data(event.data)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notifier;

    #[test]
    fn every_source_is_told_apart() {
        let sources = [
            Source::Door,
            Source::Vmm,
            Source::Device,
            Source::Signal,
            Source::Bell,
            Source::DeviceRequest,
            Source::GuestKick(0),
            Source::GuestKick(255),
            Source::DeviceCall(7),
        ];
        for source in sources {
            assert_eq!(Source::from_data(source.to_data()), source);
        }
    }

    #[test]
    fn each_notification_is_heard_once_although_nobody_takes_it() {
        let poller = Poller::new().unwrap();
        let fd = notifier::new().unwrap();
        notifier::notify(&fd);
        poller.add_notifier(&fd, Source::DeviceCall(1)).unwrap();
        for _ in 0..3 {
            assert_eq!(poller.wait(None).unwrap().collect::<Vec<_>>(), [Source::DeviceCall(1)]);
            assert_eq!(poller.wait(Some(Duration::ZERO)).unwrap().count(), 0);
            notifier::notify(&fd);
        }
    }

    #[test]
    fn what_is_removed_is_heard_no_more_even_if_the_peer_has_a_copy() {
        let poller = Poller::new().unwrap();
        let fd = notifier::new().unwrap();
        let copy = fd.try_clone().unwrap();
        poller.add(&fd, Source::GuestKick(3)).unwrap();
        notifier::notify(&copy);
        assert_eq!(poller.wait(None).unwrap().collect::<Vec<_>>(), [Source::GuestKick(3)]);
        poller.remove(&fd);
        drop(fd);
        notifier::notify(&copy);
        assert_eq!(poller.wait(Some(Duration::ZERO)).unwrap().count(), 0);
    }
}
