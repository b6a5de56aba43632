//! Waits for many file descriptors at once, with epoll.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;

/// The largest number of events that one [`Poller::wait`] returns.
const MAX_EVENTS: usize = 64;

/// An event that a [`Poller`] reports. The kernel stores the event as 64 bits with the file
/// descriptor.
pub(crate) trait Event: Copy {
    /// Encodes the event.
    fn to_data(self) -> u64;
    /// Decodes what [`to_data`](Self::to_data) has encoded.
    fn from_data(data: u64) -> Option<Self>;
}

/// A set of file descriptors, each with the event that is reported when the file descriptor is
/// ready.
#[derive(Debug)]
pub(crate) struct Poller<E> {
    epoll: OwnedFd,
    event: PhantomData<fn() -> E>,
}

impl<E: Event> Poller<E> {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)?, event: PhantomData })
    }

    /// Adds a file descriptor. The event is reported as long as the file descriptor is readable.
    pub(crate) fn add(&self, fd: impl AsFd, event: E) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, data(event), EventFlags::IN)?)
    }

    /// Adds a notification.
    ///
    /// The event is reported once for each notification (edge-triggered), and immediately if the
    /// file descriptor was notified before.
    ///
    /// Notifications are not read, which saves a system call for each.
    pub(crate) fn add_notifier(&self, fd: impl AsFd, event: E) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, data(event), EventFlags::IN | EventFlags::ET)?)
    }

    /// Reports only that the peer has disconnected, until [`resume`](Self::resume).
    pub(crate) fn pause(&self, fd: impl AsFd, event: E) {
        let _ = epoll::modify(&self.epoll, fd, data(event), EventFlags::empty());
    }

    /// Reports again that the file descriptor is readable.
    pub(crate) fn resume(&self, fd: impl AsFd, event: E) {
        let _ = epoll::modify(&self.epoll, fd, data(event), EventFlags::IN);
    }

    /// Reports when the socket has room, instead of when the socket is readable.
    pub(crate) fn await_room(&self, fd: impl AsFd, event: E) {
        let _ = epoll::modify(&self.epoll, fd, data(event), EventFlags::OUT);
    }

    /// Removes a file descriptor.
    ///
    /// Closing the file descriptor is not enough, because the peer may hold a duplicate that keeps
    /// the registration alive.
    pub(crate) fn remove(&self, fd: impl AsFd) {
        let _ = epoll::delete(&self.epoll, fd);
    }

    /// Waits for events, without limit if there is no `timeout`.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> io::Result<impl Iterator<Item = E> + use<E>> {
        let timeout = timeout.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
        let mut events: Vec<epoll::Event> = Vec::with_capacity(MAX_EVENTS);
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(events.into_iter().filter_map(|event| E::from_data(event.data.u64())))
    }
}

impl<E> AsFd for Poller<E> {
    /// Returns the file descriptor that is readable while events wait.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

fn data(event: impl Event) -> EventData {
    EventData::new_u64(event.to_data())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notifier;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Number(u64);

    impl Event for Number {
        fn to_data(self) -> u64 {
            self.0
        }

        fn from_data(data: u64) -> Option<Self> {
            Some(Self(data))
        }
    }

    fn ready(poller: &Poller<Number>) -> Vec<Number> {
        poller.wait(Some(Duration::ZERO)).unwrap().collect()
    }

    #[test]
    fn each_notification_is_reported_once_without_being_read() {
        let (poller, fd) = (Poller::new().unwrap(), notifier::new().unwrap());
        notifier::notify(&fd);
        poller.add_notifier(&fd, Number(1)).unwrap();
        for _ in 0..3 {
            assert_eq!(ready(&poller), [Number(1)]);
            assert_eq!(ready(&poller), []);
            notifier::notify(&fd);
        }
    }

    #[test]
    fn a_removed_file_is_silent_although_the_peer_has_a_duplicate() {
        let (poller, fd) = (Poller::new().unwrap(), notifier::new().unwrap());
        let duplicate = fd.try_clone().unwrap();
        poller.add(&fd, Number(u64::MAX)).unwrap();
        notifier::notify(&duplicate);
        assert_eq!(ready(&poller), [Number(u64::MAX)]);
        poller.remove(&fd);
        drop(fd);
        notifier::notify(&duplicate);
        assert_eq!(ready(&poller), []);
    }
}
