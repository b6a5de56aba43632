//! The sockets on which operators read reports.
//!
//! The server is a part of the control thread. It never waits for a reader, does a bounded amount
//! of work for each event, and has a bounded number of connections. If there are too many, or the
//! process has too many open files for another one, the oldest connection is closed.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};

use super::json::json;
use super::prometheus::prometheus;
use super::reader::{Format, Next, Reader};
use super::report_socket::ReportSocket;
use super::snapshot::Snapshot;
use crate::endpoint::Connector;
use crate::poller::{self, Poller};
use crate::retry::Retry;

/// The largest number of connections.
const MAX_READERS: usize = 8;

/// The shortest time between two log lines about readers that are closed for want of files.
const CLOSING_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// What is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    /// A reader wants to connect for this format.
    Listener(Format),
    /// The reader with this number has sent something, or has room again.
    Reader(u32),
}

impl poller::Event for Token {
    fn to_data(self) -> u64 {
        match self {
            Self::Listener(Format::Json) => 1 << 32,
            Self::Listener(Format::Prometheus) => 1 << 33,
            Self::Reader(number) => number.into(),
        }
    }

    fn from_data(data: u64) -> Option<Self> {
        const JSON: u64 = 1 << 32;
        const PROMETHEUS: u64 = 1 << 33;
        match data {
            JSON => Some(Self::Listener(Format::Json)),
            PROMETHEUS => Some(Self::Listener(Format::Prometheus)),
            number => u32::try_from(number).ok().map(Self::Reader),
        }
    }
}

/// The listening sockets and all connections.
#[derive(Debug)]
pub struct Server {
    poller: Poller<Token>,
    listeners: Vec<(Format, UnixListener)>,
    /// The connections, oldest first, each with its number.
    readers: VecDeque<(u32, Reader)>,
    /// The number of the next connection.
    next: u32,
    /// When to listen again, because a reader could not be accepted.
    retry: Retry,
    /// When it was logged that a reader is closed for want of files.
    closing_logged: Option<Instant>,
}

impl Server {
    /// Makes a server without sockets.
    ///
    /// # Errors
    ///
    /// Fails if the process has too many open files.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            poller: Poller::new()?,
            listeners: Vec::new(),
            readers: VecDeque::new(),
            next: 0,
            retry: Retry::default(),
            closing_logged: None,
        })
    }

    /// Listens for readers of JSON.
    ///
    /// # Errors
    ///
    /// The error of the system.
    pub fn listen_for_json(&mut self, socket: &ReportSocket) -> io::Result<()> {
        self.listen(socket, Format::Json)
    }

    /// Listens for scrapers of Prometheus.
    ///
    /// # Errors
    ///
    /// The error of the system.
    pub fn listen_for_prometheus(&mut self, socket: &ReportSocket) -> io::Result<()> {
        self.listen(socket, Format::Prometheus)
    }

    fn listen(&mut self, socket: &ReportSocket, format: Format) -> io::Result<()> {
        match Connector::open(&socket.endpoint())? {
            Connector::Listener(listener) => self.accept_from(listener, format),
            Connector::Client(_) | Connector::Once(_) | Connector::Vdpa(_) => Ok(()),
        }
    }

    fn accept_from(&mut self, listener: UnixListener, format: Format) -> io::Result<()> {
        self.poller.add(&listener, Token::Listener(format))?;
        self.listeners.push((format, listener));
        Ok(())
    }

    /// Returns when [`listen_again`](Self::listen_again) is due, if at all.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.retry.deadline()
    }

    /// Listens again if that is due.
    pub(crate) fn listen_again(&mut self, now: Instant) {
        if self.retry.take_due(now) {
            for (format, listener) in &self.listeners {
                self.poller.resume(listener, Token::Listener(*format));
            }
        }
    }

    /// Stops listening for an interval. The reader that waits would be reported again immediately,
    /// as long as the process has too many open files.
    fn stop_listening(&mut self, error: Errno, now: Instant) {
        self.retry.log("accept a reader of reports", error);
        self.retry.later(now);
        for (format, listener) in &self.listeners {
            self.poller.pause(listener, Token::Listener(*format));
        }
    }

    /// Handles what has happened, without waiting. `snapshot` is called only for a report.
    pub(crate) fn serve(&mut self, now: Instant, snapshot: impl Fn() -> Snapshot) {
        let Ok(events) = self.poller.wait(Some(Duration::ZERO)) else { return };
        let mut events: Vec<Token> = events.collect();
        // A connection that ends makes room for a new one, so that none has to be closed.
        events.sort_by_key(|event| matches!(event, Token::Listener(_)));
        for event in events {
            let number = match event {
                Token::Listener(format) => self.accept(format, now, &snapshot),
                Token::Reader(number) => Some(number),
            };
            if let Some(number) = number {
                self.advance(number, &snapshot);
            }
        }
    }

    /// Accepts one reader. Returns its number.
    fn accept(&mut self, format: Format, now: Instant, snapshot: impl Fn() -> Snapshot) -> Option<u32> {
        let (_, listener) = self.listeners.iter().find(|(own, _)| *own == format)?;
        let socket = match accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(socket) => UnixStream::from(socket),
            Err(Errno::AGAIN) => return None,
            // The reader that waits is reported again immediately. ENFILE closes no reader, because
            // another process may take the file that becomes free.
            Err(error @ Errno::MFILE) if self.close_oldest(&snapshot) => {
                self.log_closing(error, now);
                return None;
            }
            Err(error) => {
                self.stop_listening(error, now);
                return None;
            }
        };
        self.retry.succeeded();
        if self.readers.len() >= MAX_READERS {
            self.close_oldest(&snapshot);
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.poller.add(&socket, Token::Reader(number)).ok()?;
        self.readers.push_back((number, Reader::new(socket, format)));
        Some(number)
    }

    /// Closes the oldest connection. Returns whether there was one.
    ///
    /// A request that has arrived is answered first, as far as the socket has room. A reader that
    /// has not sent its whole request, or does not read fast enough, loses its report.
    fn close_oldest(&mut self, snapshot: impl Fn() -> Snapshot) -> bool {
        let Some(&(number, _)) = self.readers.front() else { return false };
        self.advance(number, snapshot);
        if let Some((_, oldest)) = self.readers.front().filter(|(own, _)| *own == number) {
            self.poller.remove(&oldest.socket);
            self.readers.pop_front();
        }
        true
    }

    /// Logs that the oldest reader is closed because of `error`, unless that was logged recently.
    fn log_closing(&mut self, error: Errno, now: Instant) {
        let recent = |at| now.saturating_duration_since(at) < CLOSING_LOG_INTERVAL;
        if !self.closing_logged.is_some_and(recent) {
            self.closing_logged = Some(now);
            tracing::warn!("the oldest reader of reports is closed to accept another one: {error}");
        }
    }

    /// Receives from a reader and sends to it.
    fn advance(&mut self, number: u32, snapshot: impl Fn() -> Snapshot) {
        let Some(at) = self.readers.iter().position(|(own, _)| *own == number) else { return };
        let Some((_, reader)) = self.readers.get_mut(at) else { return };
        let report = |format| match format {
            Format::Json => json(&snapshot()),
            Format::Prometheus => prometheus(&snapshot()),
        };
        match reader.advance(report) {
            Next::Request => {}
            Next::Room => self.poller.await_room(&reader.socket, Token::Reader(number)),
            Next::End => {
                self.poller.remove(&reader.socket);
                self.readers.remove(at);
            }
        }
    }
}

impl AsFd for Server {
    /// Returns the file descriptor that is readable while there is something to serve.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixDatagram;

    use super::*;
    use crate::retry::RETRY_INTERVAL;

    const REQUEST: &[u8] = b"GET / HTTP/1.0\r\n\r\n";

    fn served() -> (Server, tempfile::TempDir) {
        let (mut server, directory) = (Server::new().unwrap(), tempfile::tempdir().unwrap());
        let socket = |name| ReportSocket(directory.path().join(name));
        server.listen_for_json(&socket("json")).unwrap();
        server.listen_for_prometheus(&socket("prometheus")).unwrap();
        (server, directory)
    }

    fn text_of(mut stream: UnixStream) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn each_socket_serves_its_format() {
        let (mut server, directory) = served();
        let stream = UnixStream::connect(directory.path().join("json")).unwrap();
        server.serve(Instant::now(), Snapshot::example);
        assert_eq!(text_of(stream), json(&Snapshot::example()));
        let mut stream = UnixStream::connect(directory.path().join("prometheus")).unwrap();
        stream.write_all(REQUEST).unwrap();
        server.serve(Instant::now(), Snapshot::example);
        assert!(text_of(stream).ends_with(&prometheus(&Snapshot::example())));
    }

    #[test]
    fn readers_that_neither_ask_nor_read_are_closed_when_others_come() {
        let (mut server, directory) = served();
        let connect = || UnixStream::connect(directory.path().join("prometheus")).unwrap();
        let mut silent: Vec<UnixStream> = Vec::new();
        for _ in 0..3 * MAX_READERS {
            silent.push(connect());
            server.serve(Instant::now(), Snapshot::example);
            assert!(server.readers.len() <= MAX_READERS);
        }
        assert_eq!(silent[0].read(&mut [0]).unwrap(), 0);
        let mut honest = connect();
        honest.write_all(REQUEST).unwrap();
        server.serve(Instant::now(), Snapshot::example);
        assert!(text_of(honest).contains("isolation_host_vmm_connected 1"));
    }

    /// Returns a server with all connections that it may have, and one more reader that waits.
    fn full() -> (Server, Vec<UnixStream>, tempfile::TempDir) {
        let (mut server, directory) = served();
        let connect = |_| {
            server.serve(Instant::now(), Snapshot::example);
            UnixStream::connect(directory.path().join("prometheus")).unwrap()
        };
        let readers = (0..=MAX_READERS).map(connect).collect();
        (server, readers, directory)
    }

    #[test]
    fn no_connection_is_closed_for_another_one_if_one_ends_by_itself() {
        let (mut server, mut readers, _directory) = full();
        readers[1].write_all(REQUEST).unwrap();
        server.serve(Instant::now(), Snapshot::example);
        assert!(text_of(readers.remove(1)).ends_with(&prometheus(&Snapshot::example())));
        let numbers: Vec<u32> = server.readers.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [0, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn a_request_that_has_arrived_is_answered_before_its_reader_is_closed() {
        let (mut server, mut readers, _directory) = full();
        readers[0].write_all(REQUEST).unwrap();
        server.accept(Format::Prometheus, Instant::now(), Snapshot::example).unwrap();
        assert!(text_of(readers.remove(0)).ends_with(&prometheus(&Snapshot::example())));
    }

    #[test]
    fn a_reader_that_has_gone_is_forgotten() {
        let (mut server, directory) = served();
        drop(UnixStream::connect(directory.path().join("json")).unwrap());
        drop(UnixStream::connect(directory.path().join("prometheus")).unwrap());
        (0..4).for_each(|_| server.serve(Instant::now(), Snapshot::example));
        assert!(server.readers.is_empty());
    }

    /// A reader that waits cannot be accepted, as when the process has too many open files.
    #[test]
    fn a_listener_that_fails_is_silent_until_the_interval_has_passed() {
        // A datagram socket with a datagram is readable like a listener, and cannot accept.
        let (socket, peer) = UnixDatagram::pair().unwrap();
        peer.send(&[0]).unwrap();
        let (mut server, now) = (Server::new().unwrap(), Instant::now());
        server.accept_from(UnixListener::from(OwnedFd::from(socket)), Format::Json).unwrap();
        let events = |server: &Server| server.poller.wait(Some(Duration::ZERO)).unwrap().count();
        assert_eq!((events(&server), server.deadline()), (1, None));
        server.serve(now, Snapshot::example);
        assert_eq!((events(&server), server.deadline()), (0, Some(now + RETRY_INTERVAL)));
        server.listen_again(now + RETRY_INTERVAL / 2);
        assert_eq!(events(&server), 0);
        server.listen_again(now + RETRY_INTERVAL);
        assert_eq!((events(&server), server.deadline()), (1, None));
    }
}
