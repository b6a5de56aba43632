//! One connection on which an operator reads a report.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;

/// The longest request of a scraper in bytes.
const LONGEST_REQUEST: usize = 4096;

/// The format of a report, and how the report is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A JSON object, sent to each reader that connects.
    Json,
    /// Prometheus' text format, as the answer to an HTTP request.
    Prometheus,
}

/// What a reader waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The rest of the request.
    Request,
    /// Room in the socket.
    Room,
    /// Nothing: the connection has ended.
    End,
}

/// A connection. No call of a reader blocks.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) socket: UnixStream,
    format: Format,
    /// The bytes of the request.
    request: Vec<u8>,
    /// What is to be sent, once the request has arrived.
    answer: Option<Vec<u8>>,
    /// How much of the answer was sent.
    sent: usize,
}

impl Reader {
    /// Creates a connection from a nonblocking socket.
    pub(super) const fn new(socket: UnixStream, format: Format) -> Self {
        Self { socket, format, request: Vec::new(), answer: None, sent: 0 }
    }

    /// Receives and sends as much as possible. `report` makes the report, once it is asked for.
    pub(super) fn advance(&mut self, report: impl FnOnce(Format) -> String) -> Next {
        if self.answer.is_none() {
            match self.receive() {
                Ok(true) => self.answer = Some(answer(self.format, &self.request, report)),
                Ok(false) => return Next::Request,
                Err(_) => return Next::End,
            }
        }
        self.send().unwrap_or(Next::End)
    }

    /// Returns whether the whole request has arrived.
    fn receive(&mut self) -> io::Result<bool> {
        if self.format == Format::Json {
            return Ok(true);
        }
        loop {
            if ends_head(&self.request) {
                return Ok(true);
            }
            let mut bytes = [0; 512];
            let received = match self.socket.read(&mut bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            };
            self.request.extend(bytes.get(..received).unwrap_or_default());
            if self.request.len() > LONGEST_REQUEST {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }

    fn send(&mut self) -> io::Result<Next> {
        let answer = self.answer.as_deref().unwrap_or_default();
        while let Some(rest) = answer.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match self.socket.write(rest) {
                Ok(sent) => self.sent += sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Next::Room),
                Err(error) => return Err(error),
            }
        }
        Ok(Next::End)
    }
}

/// Returns whether the head of an HTTP request is complete.
fn ends_head(request: &[u8]) -> bool {
    request.windows(4).any(|bytes| bytes == b"\r\n\r\n")
}

/// Returns the answer to a complete request.
fn answer(format: Format, request: &[u8], report: impl FnOnce(Format) -> String) -> Vec<u8> {
    if format == Format::Json {
        return report(format).into_bytes();
    }
    let (status, body) = if request.starts_with(b"GET ") {
        ("200 OK", report(format))
    } else {
        ("405 Method Not Allowed", "use GET\n".to_owned())
    };
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(format: Format) -> (Reader, UnixStream) {
        let (own, peer) = UnixStream::pair().unwrap();
        own.set_nonblocking(true).unwrap();
        peer.set_nonblocking(true).unwrap();
        (Reader::new(own, format), peer)
    }

    #[test]
    fn a_request_in_pieces_is_answered_once_it_is_complete() {
        let (mut reader, mut peer) = pair(Format::Prometheus);
        for byte in b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r" {
            peer.write_all(&[*byte]).unwrap();
            assert_eq!(reader.advance(|_| panic!("the request is incomplete")), Next::Request);
        }
        peer.write_all(b"\n").unwrap();
        assert_eq!(reader.advance(|_| "a 1\n".to_owned()), Next::End);
        drop(reader);
        let mut answer = String::new();
        peer.read_to_string(&mut answer).unwrap();
        let expected = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: 4\r\n\
                        Connection: close\r\n\r\na 1\n";
        assert_eq!(answer, expected);
    }

    #[test]
    fn another_method_and_an_endless_request_get_no_report() {
        let (mut reader, mut peer) = pair(Format::Prometheus);
        peer.write_all(b"POST / HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!(reader.advance(|_| panic!("this is no GET")), Next::End);
        let (mut reader, mut peer) = pair(Format::Prometheus);
        peer.write_all(&[b'x'; LONGEST_REQUEST + 1]).unwrap();
        assert_eq!(reader.advance(|_| panic!("the request does not end")), Next::End);
    }

    #[test]
    fn a_slow_reader_gets_the_whole_report_in_pieces() {
        let (mut reader, mut peer) = pair(Format::Json);
        let report: String = "0123456789".repeat(200_000);
        assert_eq!(reader.advance(|_| report.clone()), Next::Room);
        let (mut received, mut buffer) = (Vec::new(), [0; 1000]);
        while let Ok(count @ 1..) = peer.read(&mut buffer) {
            received.extend(&buffer[..count]);
            reader.advance(|_| panic!("the report exists"));
        }
        assert_eq!(String::from_utf8(received).unwrap(), report);
    }
}
