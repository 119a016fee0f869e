// SPDX-License-Identifier: GPL-2.0
//! Frames of the channel, both ways: length of the payload (u32, big-endian), kind
//! (one byte), payload. `scripts/yoke_lab/channel.py` is the other end.
//!
//! Before any frame the agent says one byte, [`WELCOME`]: a client that was not
//! welcomed has not started anything and may try again.
//!
//! The client opens with `H`; then come `I` and `E`. The agent answers with `O` and
//! `R`, and ends with `X` or `F`. One connection is one command; a client that
//! closes early kills it.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::TcpStream;

use serde::Deserialize;

/// The agent's first byte.
pub const WELCOME: u8 = b'W';
/// Longest payload.
pub const PAYLOAD_MAX: usize = 1 << 20;
/// Bytes read at a time.
pub const CHUNK: usize = 1 << 16;
const HEAD: usize = 5;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Client: a [`Hello`].
    Hello,
    /// Client: bytes of the standard input.
    Input,
    /// Client: the end of the standard input.
    InputEnd,
    /// Agent: bytes of the standard output.
    Output,
    /// Agent: bytes of the standard error.
    Error,
    /// Agent: JSON, `{"code": N}` or `{"signal": N}`; the last frame.
    Exit,
    /// Agent: a sentence, why nothing was run; the last frame.
    Failure,
}

impl Kind {
    const ALL: [(Self, u8); 7] = [
        (Self::Hello, b'H'),
        (Self::Input, b'I'),
        (Self::InputEnd, b'E'),
        (Self::Output, b'O'),
        (Self::Error, b'R'),
        (Self::Exit, b'X'),
        (Self::Failure, b'F'),
    ];

    fn byte(self) -> u8 {
        Self::ALL
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or(b'F', |(_, byte)| *byte)
    }

    fn of(byte: u8) -> io::Result<Self> {
        Self::ALL
            .iter()
            .find(|(_, known)| *known == byte)
            .map(|(kind, _)| *kind)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "unknown kind of frame"))
    }
}

/// What a client wants.
#[derive(Debug, Deserialize)]
pub struct Hello {
    /// The lab's secret.
    pub token: String,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Directory to run it in.
    pub cwd: Option<String>,
    /// More environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Rows and columns, where it is to have a terminal.
    pub terminal: Option<(u16, u16)>,
}

/// What was received and is not used yet.
#[derive(Debug, Default)]
pub struct Received(VecDeque<u8>);

impl Received {
    /// Adds what came.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes of the first frame, its head included, if all of it was received.
    fn whole_frame(&self) -> Option<usize> {
        if self.0.len() < HEAD {
            return None;
        }
        let frame = HEAD + self.first_length();
        (self.0.len() >= frame).then_some(frame)
    }

    /// The length of the payload that the first head tells.
    fn first_length(&self) -> usize {
        self.0
            .iter()
            .take(4)
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte))
    }

    /// The next whole frame.
    ///
    /// # Errors
    ///
    /// What came is no frame: nothing that comes after it can be understood.
    #[allow(clippy::should_implement_trait)] // an iterator ends, and this goes on when more has come
    pub fn next(&mut self) -> io::Result<Option<(Kind, Vec<u8>)>> {
        if self.0.len() >= HEAD && self.first_length() > PAYLOAD_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "frame too long"));
        }
        let Some(frame) = self.whole_frame() else {
            return Ok(None);
        };
        let kind = Kind::of(self.0[HEAD - 1])?;
        Ok(Some((kind, self.0.drain(..frame).skip(HEAD).collect())))
    }
}

/// A connection that speaks in frames.
#[derive(Debug)]
pub struct Channel {
    stream: TcpStream,
    received: Received,
}

impl Channel {
    /// Nothing was said yet on `stream`.
    pub fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            received: Received::default(),
        }
    }

    /// Lets the client begin.
    ///
    /// # Errors
    ///
    /// Those of the connection.
    pub fn welcome(&mut self) -> io::Result<()> {
        self.stream.write_all(&[WELCOME])
    }

    /// The connection, to wait on and to close.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Whether more may be received before what is here has been used; where not, the
    /// network's flow control holds the client back. What is not yet a whole frame cannot
    /// be used, so it always has room for the rest.
    pub fn has_room(&self) -> bool {
        self.received.whole_frame().is_none()
    }

    /// Sends a frame; waits while the client does not read.
    ///
    /// # Errors
    ///
    /// Those of the connection.
    pub fn send(&mut self, kind: Kind, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
        let mut frame = Vec::with_capacity(HEAD + payload.len());
        frame.extend_from_slice(&length.to_be_bytes());
        frame.push(kind.byte());
        frame.extend_from_slice(payload);
        self.stream.write_all(&frame)
    }

    /// Receives some bytes; waits for them.
    ///
    /// # Errors
    ///
    /// Those of the connection, its end included.
    pub fn receive(&mut self) -> io::Result<()> {
        let mut chunk = [0; CHUNK];
        match self.stream.read(&mut chunk)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.received.add(&chunk[..count]);
                Ok(())
            }
        }
    }

    /// The next whole frame of those received.
    ///
    /// # Errors
    ///
    /// As [`Received::next`].
    #[allow(clippy::should_implement_trait)] // as there
    pub fn next(&mut self) -> io::Result<Option<(Kind, Vec<u8>)>> {
        self.received.next()
    }

    /// The next frame; waits for it.
    ///
    /// # Errors
    ///
    /// As [`Channel::next`] and [`Channel::receive`].
    pub fn await_frame(&mut self) -> io::Result<(Kind, Vec<u8>)> {
        loop {
            if let Some(frame) = self.next()? {
                return Ok(frame);
            }
            self.receive()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    fn pair() -> (Channel, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (Channel::new(listener.accept().unwrap().0), theirs)
    }

    #[test]
    fn frames_come_whole_however_they_arrive() {
        let (mut channel, mut theirs) = pair();
        for byte in [0, 0, 0, 3, b'I', b'a', b'b'] {
            theirs.write_all(&[byte]).unwrap();
            channel.receive().unwrap();
            assert_eq!(channel.next().unwrap(), None);
        }
        theirs.write_all(b"c\0\0\0\0E").unwrap();
        assert_eq!(
            channel.await_frame().unwrap(),
            (Kind::Input, b"abc".to_vec())
        );
        assert_eq!(channel.await_frame().unwrap(), (Kind::InputEnd, Vec::new()));
        drop(theirs);
        assert!(channel.await_frame().is_err());
    }

    #[test]
    fn there_is_room_until_a_frame_is_whole() {
        let (mut channel, _theirs) = pair();
        let length = u32::try_from(CHUNK).unwrap();
        channel.received.add(&length.to_be_bytes());
        channel.received.add(b"I");
        for missing in [CHUNK, 5, 1] {
            channel.received.0.resize(HEAD + CHUNK - missing, 0);
            assert_eq!(channel.next().unwrap(), None);
            assert!(channel.has_room(), "{missing} missing, and no room for it");
        }
        channel.received.add(&[0]);
        assert!(!channel.has_room());
        assert!(channel.next().unwrap().is_some());
        assert!(channel.has_room());
    }

    #[test]
    fn garbage_is_refused() {
        let (mut channel, mut theirs) = pair();
        theirs.write_all(b"\xff\xff\xff\xffI").unwrap();
        assert!(channel.await_frame().is_err());
        let (mut channel, mut theirs) = pair();
        theirs.write_all(b"\0\0\0\0?").unwrap();
        assert!(channel.await_frame().is_err());
    }

    #[test]
    fn what_is_sent_has_the_documented_bytes() {
        let (mut channel, mut theirs) = pair();
        channel.send(Kind::Exit, b"{}").unwrap();
        let mut bytes = [0; 7];
        theirs.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"\0\0\0\x02X{}");
    }
}
