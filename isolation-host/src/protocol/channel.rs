//! A socket that carries messages.

use std::io::IoSlice;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use thiserror::Error;
use zerocopy::{FromBytes as _, IntoBytes as _};

use super::message::{Header, MAX_FDS, MAX_PAYLOAD, Message};

/// One end of a vhost-user connection. Methods without a deadline do not block.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
    partial: Partial,
}

/// An incomplete message.
#[derive(Debug, Default)]
struct Partial {
    bytes: Vec<u8>,
    fds: Vec<OwnedFd>,
}

/// No message can be received.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// The peer has closed the connection.
    #[error("the peer has closed the connection")]
    Closed,
    /// The announced payload is too long.
    #[error("message {request} announces {size} bytes, over {MAX_PAYLOAD}")]
    TooLong {
        /// The request's number.
        request: u32,
        /// The announced length.
        size: u32,
    },
    /// No message arrived before the deadline.
    #[error("the peer does not answer")]
    Timeout,
    /// The socket failed.
    #[error(transparent)]
    Socket(#[from] io::Error),
}

/// A message was not sent, or only a part of it. The connection cannot be used any more.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SendError {
    /// The socket is full.
    #[error("the peer does not read its messages")]
    Full,
    /// The socket failed.
    #[error(transparent)]
    Socket(#[from] io::Error),
}

impl SendError {
    /// Returns whether the peer has closed the connection. What the peer has sent before can still
    /// be received.
    #[must_use]
    pub fn is_end(&self) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
        match self {
            Self::Full => false,
            Self::Socket(error) => matches!(error.kind(), BrokenPipe | ConnectionReset | NotConnected),
        }
    }
}

impl Channel {
    /// Uses a connected Unix stream socket.
    #[must_use]
    pub fn new(socket: OwnedFd) -> Self {
        Self { socket, partial: Partial::default() }
    }

    /// Sends one message, with its file descriptors.
    ///
    /// # Errors
    ///
    /// [`SendError`] if the connection has failed, or the peer does not read.
    pub fn send(&self, message: &Message) -> Result<(), SendError> {
        let header = message.header();
        let fds: Vec<BorrowedFd<'_>> = message.fds.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&fds)) {
            return Err(io::Error::from(Errno::INVAL).into());
        }
        let parts = [IoSlice::new(header.as_bytes()), IoSlice::new(&message.payload)];
        let whole = size_of::<Header>() + message.payload.len();
        loop {
            match sendmsg(&self.socket, &parts, &mut control, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(sent) if sent == whole => return Ok(()),
                // A stream socket takes only a part of a small message if the socket is full.
                Ok(_) | Err(Errno::AGAIN) => return Err(SendError::Full),
                Err(Errno::INTR) => {}
                Err(error) => return Err(SendError::Socket(error.into())),
            }
        }
    }

    /// Returns the next message, if all of it has arrived.
    ///
    /// # Errors
    ///
    /// [`ReceiveError`] if no more messages can arrive.
    pub fn receive(&mut self) -> Result<Option<Message>, ReceiveError> {
        loop {
            let header = Header::read_from_prefix(&self.partial.bytes).ok().map(|(header, _)| header);
            let wanted = match header {
                None => size_of::<Header>(),
                Some(Header { request, size, .. }) => match usize::try_from(size) {
                    Ok(payload) if payload <= MAX_PAYLOAD => size_of::<Header>() + payload,
                    _ => return Err(ReceiveError::TooLong { request, size }),
                },
            };
            if let Some(header) = header.filter(|_| self.partial.bytes.len() == wanted) {
                let Partial { bytes, fds } = std::mem::take(&mut self.partial);
                let payload = bytes.get(size_of::<Header>()..).unwrap_or_default().to_owned();
                return Ok(Some(Message::from_parts(header, payload, fds)));
            }
            if !self.read_up_to(wanted)? {
                return Ok(None);
            }
        }
    }

    /// Waits for the next message until the deadline.
    ///
    /// # Errors
    ///
    /// [`ReceiveError`] if no message arrives.
    pub fn receive_by(&mut self, deadline: Instant) -> Result<Message, ReceiveError> {
        loop {
            if let Some(message) = self.receive()? {
                return Ok(message);
            }
            self.wait(None, deadline)?;
        }
    }

    /// Waits until this socket, or another one, is readable.
    ///
    /// # Errors
    ///
    /// [`ReceiveError::Timeout`] if the deadline has passed.
    pub fn wait(&self, other: Option<BorrowedFd<'_>>, deadline: Instant) -> Result<(), ReceiveError> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ReceiveError::Timeout);
        }
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        let socket = self.socket.as_fd();
        let mut fds = [socket, other.unwrap_or(socket)].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(ReceiveError::Socket(error.into())),
        }
    }

    /// Returns whether there is something to receive.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    /// Reads bytes until the partial message has `wanted` of them.
    ///
    /// Returns whether there were bytes.
    fn read_up_to(&mut self, wanted: usize) -> Result<bool, ReceiveError> {
        let Partial { bytes, fds } = &mut self.partial;
        let have = bytes.len();
        bytes.resize(wanted, 0);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(
            &self.socket,
            &mut [IoSliceMut::new(bytes.get_mut(have..).unwrap_or_default())],
            &mut control,
            RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC,
        );
        bytes.truncate(have + received.as_ref().map_or(0, |received| received.bytes));
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                // File descriptors beyond the limit are dropped, which closes them.
                fds.extend(rights.take(MAX_FDS - fds.len().min(MAX_FDS)));
            }
        }
        match received {
            Ok(received) if received.bytes == 0 => Err(ReceiveError::Closed),
            Ok(_) | Err(Errno::INTR) => Ok(true),
            Err(Errno::AGAIN) => Ok(false),
            Err(Errno::CONNRESET) => Err(ReceiveError::Closed),
            Err(error) => Err(ReceiveError::Socket(error.into())),
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::payload::VringState;
    use crate::protocol::{MessageError, Request};
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use std::fs::File;
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;

    fn pair() -> (Channel, Channel) {
        let (a, b) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        (Channel::new(a), Channel::new(b))
    }

    fn null() -> OwnedFd {
        File::open("/dev/null").unwrap().into()
    }

    #[test]
    fn a_message_arrives_with_its_payload_and_descriptors() {
        let (a, mut b) = pair();
        let state = VringState { index: 1, num: 0x8000_8000 };
        let sent = Message::request(Request::SetVringBase as u32, &state).needing_reply().with_fd(null());
        a.send(&sent).unwrap();
        let mut received = b.receive().unwrap().unwrap();
        assert_eq!(received.request, 10);
        assert!(received.needs_reply() && !received.is_reply());
        assert_eq!(received.body::<VringState>(), Ok(state));
        assert!(received.take_fd().is_ok());
        assert!(b.receive().unwrap().is_none());
    }

    #[test]
    fn a_message_in_pieces_is_assembled() {
        let (a, b) = UnixStream::pair().unwrap();
        let mut b = Channel::new(b.into());
        let bytes = [1u32, 1, 8, 7, 8].map(u32::to_ne_bytes);
        for (index, byte) in bytes.as_flattened().iter().enumerate() {
            assert!(b.receive().unwrap().is_none(), "{index}");
            (&a).write_all(&[*byte]).unwrap();
        }
        let received = b.receive().unwrap().unwrap();
        assert_eq!(received.body::<VringState>(), Ok(VringState { index: 7, num: 8 }));
    }

    #[test]
    fn two_messages_in_one_piece_are_separated() {
        let (a, b) = UnixStream::pair().unwrap();
        let mut b = Channel::new(b.into());
        let bytes = [1u32, 1, 0, 3, 1, 0].map(u32::to_ne_bytes);
        (&a).write_all(bytes.as_flattened()).unwrap();
        assert_eq!(b.receive().unwrap().unwrap().request, 1);
        assert_eq!(b.receive().unwrap().unwrap().request, 3);
        assert!(b.receive().unwrap().is_none());
    }

    #[test]
    fn a_length_over_the_limit_ends_the_connection() {
        let (a, b) = UnixStream::pair().unwrap();
        let mut b = Channel::new(b.into());
        (&a).write_all([9u32, 1, 4097].map(u32::to_ne_bytes).as_flattened()).unwrap();
        assert!(matches!(b.receive(), Err(ReceiveError::TooLong { request: 9, size: 4097 })));
    }

    #[test]
    fn a_payload_of_the_wrong_length_is_an_error_of_the_message_only() {
        let (a, mut b) = pair();
        a.send(&Message::request(Request::SetVringNum as u32, &[0u8; 7])).unwrap();
        let received = b.receive().unwrap().unwrap();
        assert_eq!(received.body::<VringState>(), Err(MessageError::Length { len: 7, expected: 8 }));
    }

    #[test]
    fn unused_file_descriptors_are_closed() {
        let (a, mut b) = pair();
        let (watched, given) = UnixStream::pair().unwrap();
        a.send(&Message::request(Request::SetOwner as u32, &[0u8; 0]).with_fd(given.into())).unwrap();
        drop(b.receive().unwrap());
        // All copies are closed, so the socket reports the end of the stream.
        assert_eq!(rustix::io::read(&watched, &mut [0u8; 1]), Ok(0));
    }

    #[test]
    fn a_closed_connection_and_a_timeout_are_errors() {
        let (a, mut b) = pair();
        drop(a);
        assert!(matches!(b.receive(), Err(ReceiveError::Closed)));
        let (_keep, mut c) = pair();
        assert!(matches!(c.receive_by(Instant::now()), Err(ReceiveError::Timeout)));
    }

    #[test]
    fn a_peer_that_does_not_read_does_not_block_the_sender() {
        let (a, _b) = pair();
        let message = Message::request(Request::GetConfig as u32, &[0u8; 4096]);
        let full = (0..10_000).find_map(|_| a.send(&message).err());
        assert!(matches!(full, Some(SendError::Full)), "{full:?}");
    }
}
