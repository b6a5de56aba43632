//! The socket between the card process and the audio process.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use zerocopy::{FromBytes as _, IntoBytes as _};

use super::packets::{Message, Packet};

/// The largest number of bytes of a text.
const MAX_TEXT: usize = 4096;

/// One end of the socket. This end sends `S` and receives `R`.
///
/// Sending never waits, so that neither process can hold up the other one.
#[derive(Debug)]
pub struct Channel<S, R> {
    socket: OwnedFd,
    messages: PhantomData<fn(S) -> R>,
}

/// A message that was received.
#[derive(Debug)]
pub struct Received<R> {
    /// The message; `None` for a packet that is no message.
    pub message: Option<R>,
    /// The file that came with the message.
    pub file: Option<File>,
    /// The text that came with the message.
    pub text: String,
}

impl<S, R> From<OwnedFd> for Channel<S, R> {
    /// Takes an end that [`pair`](Self::pair) has returned.
    fn from(socket: OwnedFd) -> Self {
        Self { socket, messages: PhantomData }
    }
}

impl<S, R> AsFd for Channel<S, R> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[expect(private_bounds, reason = "only the messages of this module are sent")]
impl<S: Message, R: Message> Channel<S, R> {
    /// Creates a channel. Returns one end, and the other end for another process.
    ///
    /// # Errors
    ///
    /// Fails if there is no file descriptor.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let (this, other) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self::from(this), other))
    }

    /// Sends a message without waiting.
    ///
    /// # Errors
    ///
    /// Fails if the other process does not read its messages, or has ended.
    pub fn send(&self, message: &S) -> io::Result<()> {
        self.send_all(message, &[], "")
    }

    /// Sends a message with a file.
    ///
    /// # Errors
    ///
    /// Fails if the other process does not read its messages, or has ended.
    pub fn send_with_file(&self, message: &S, file: BorrowedFd<'_>) -> io::Result<()> {
        self.send_all(message, &[file], "")
    }

    /// Sends a message with a text.
    ///
    /// # Errors
    ///
    /// Fails if the other process does not read its messages, or has ended.
    pub fn send_with_text(&self, message: &S, text: &str) -> io::Result<()> {
        self.send_all(message, &[], text)
    }

    fn send_all(&self, message: &S, files: &[BorrowedFd<'_>], text: &str) -> io::Result<()> {
        let packet = message.to_packet();
        let text = &text.as_bytes()[..text.floor_char_boundary(MAX_TEXT)];
        let parts = [IoSlice::new(packet.as_bytes()), IoSlice::new(text)];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !files.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(files));
        }
        sendmsg(&self.socket, &parts, &mut control, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Receives the next message. Waits for it unless `flags` has `DONTWAIT`. Returns `None` at the
    /// end of the other process.
    ///
    /// # Errors
    ///
    /// Fails with `WouldBlock` if there is no message, and if the socket cannot be read.
    fn receive_with(&self, flags: RecvFlags) -> io::Result<Option<Received<R>>> {
        let mut bytes = [0; size_of::<Packet>() + MAX_TEXT];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let mut parts = [IoSliceMut::new(&mut bytes)];
            match recvmsg(&self.socket, &mut parts, &mut control, flags | RecvFlags::CMSG_CLOEXEC) {
                Err(Errno::INTR) => {}
                Err(Errno::CONNRESET) => return Ok(None),
                other => break other?.bytes,
            }
        };
        if received == 0 {
            return Ok(None);
        }
        let files = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(files) => Some(files),
            _ => None,
        });
        let file = files.flatten().last().map(File::from);
        let bytes = &bytes[..received];
        let (message, text) = match Packet::read_from_prefix(bytes) {
            Ok((packet, text)) => (R::from_packet(&packet), text),
            Err(_) => (None, &[][..]),
        };
        Ok(Some(Received { message, file, text: String::from_utf8_lossy(text).into_owned() }))
    }

    /// Waits for the next message. Returns `None` at the end of the other process.
    ///
    /// # Errors
    ///
    /// Fails if the socket cannot be read.
    pub fn receive(&self) -> io::Result<Option<Received<R>>> {
        self.receive_with(RecvFlags::empty())
    }

    /// Receives the next message without waiting. Returns `None` at the end of the other process.
    ///
    /// # Errors
    ///
    /// Fails with `WouldBlock` if there is no message, and if the socket cannot be read.
    pub fn try_receive(&self) -> io::Result<Option<Received<R>>> {
        self.receive_with(RecvFlags::DONTWAIT)
    }
}

#[cfg(test)]
mod tests {
    use super::super::packets::{Order, Report, TakeId};
    use super::*;

    #[test]
    fn messages_arrive_in_order_with_their_files_and_texts() {
        let (card, audio) = Channel::<Order, Report>::pair().unwrap();
        let audio = Channel::<Report, Order>::from(audio);
        let file = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
        card.send_with_file(&Order::Hello, file.as_fd()).unwrap();
        card.send(&Order::Wake(TakeId(4))).unwrap();
        let hello = audio.receive().unwrap().unwrap();
        assert_eq!(hello.message, Some(Order::Hello));
        assert!(hello.file.is_some());
        let wake = audio.receive().unwrap().unwrap();
        assert!(wake.message == Some(Order::Wake(TakeId(4))) && wake.file.is_none());
        audio.send_with_text(&Report::Refused, "no such sink").unwrap();
        let refused = card.try_receive().unwrap().unwrap();
        assert_eq!((refused.message, refused.text.as_str()), (Some(Report::Refused), "no such sink"));
        assert_eq!(card.try_receive().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(audio);
        assert!(card.try_receive().unwrap().is_none());
    }

    #[test]
    fn a_process_that_does_not_read_holds_up_no_sender() {
        let (card, _audio) = Channel::<Order, Report>::pair().unwrap();
        let failed = (0..100_000).find_map(|_| card.send(&Order::Ask).err());
        assert_eq!(failed.unwrap().kind(), io::ErrorKind::WouldBlock);
    }
}
