// SPDX-License-Identifier: GPL-2.0
//! Connected control clients: lines in, lines out, everything bounded.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

use crate::command::{Answer, LINE_MAX};

/// Most clients at one time; one more is turned away.
pub const CLIENTS_MAX: usize = 16;
/// Most bytes of answers that wait for a client that does not read.
const UNREAD_MAX: usize = 64 * 1024;

/// Why a client is let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// One client.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    received: Vec<u8>,
    unsent: Vec<u8>,
    /// A mend was asked for and has not shown yet; later lines wait behind it.
    pub awaits_mend: bool,
}

impl Client {
    /// A client on a non-blocking stream.
    pub fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            received: Vec::new(),
            unsent: Vec::new(),
            awaits_mend: false,
        }
    }

    /// The connection.
    pub fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// Reads what has come, at most one line's worth beyond what is there.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the client has closed, or sends a line longer than [`LINE_MAX`]
    /// (it has been told so).
    pub fn receive(&mut self) -> Result<(), Gone> {
        let mut chunk = [0; LINE_MAX];
        match self.stream.read(&mut chunk) {
            Ok(0) => return Err(Gone),
            Ok(count) => self
                .received
                .extend_from_slice(chunk.get(..count).unwrap_or_default()),
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => return Err(Gone),
        }
        let unfinished = self
            .received
            .iter()
            .rev()
            .position(|&b| b == b'\n')
            .unwrap_or(self.received.len());
        if unfinished > LINE_MAX || self.received.len() > 4 * LINE_MAX {
            self.send(&Answer::failed(format!(
                "requests are lines of at most {LINE_MAX} bytes, answered one by one"
            )))?;
            return Err(Gone);
        }
        Ok(())
    }

    /// The next whole line, unless an answer to an earlier one is still due.
    pub fn next_line(&mut self) -> Option<Vec<u8>> {
        if self.awaits_mend {
            return None;
        }
        let end = self.received.iter().position(|&b| b == b'\n')?;
        let mut line: Vec<u8> = self.received.drain(..=end).collect();
        line.pop();
        Some(line)
    }

    /// Answers.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the client has closed or has not read for too long.
    pub fn send(&mut self, answer: &Answer) -> Result<(), Gone> {
        serde_json::to_writer(&mut self.unsent, answer).map_err(|_| Gone)?;
        self.unsent.push(b'\n');
        self.flush()?;
        if self.unsent.len() > UNREAD_MAX {
            return Err(Gone);
        }
        Ok(())
    }

    /// Sends what the socket takes. True while something waits.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the client has closed.
    pub fn flush(&mut self) -> Result<bool, Gone> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(_) => return Err(Gone),
            }
        }
        Ok(false)
    }
}

/// All clients, by a number that is not used again.
#[derive(Debug, Default)]
pub struct Clients {
    map: BTreeMap<u32, Client>,
    next: u32,
}

impl Clients {
    /// Takes a client in; `None` where there are too many.
    pub fn admit(&mut self, stream: UnixStream) -> Option<(u32, &Client)> {
        if self.map.len() >= CLIENTS_MAX {
            let full = Answer::failed(format!(
                "{CLIENTS_MAX} control clients are connected: close one first"
            ));
            // It is turned away whether or not it hears why.
            let _ = Client::new(stream).send(&full);
            return None;
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.map.insert(number, Client::new(stream));
        self.map.get(&number).map(|client| (number, client))
    }

    /// The client of that number.
    pub fn get(&mut self, number: u32) -> Option<&mut Client> {
        self.map.get_mut(&number)
    }

    /// Lets a client go.
    pub fn remove(&mut self, number: u32) {
        self.map.remove(&number);
    }

    /// Numbers of those that wait for the mend to show.
    pub fn awaiting_mend(&self) -> Vec<u32> {
        self.map
            .iter()
            .filter(|(_, client)| client.awaits_mend)
            .map(|(&number, _)| number)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Client, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (Client::new(ours), theirs)
    }

    #[test]
    fn lines_come_one_by_one_and_in_pieces() {
        let (mut client, mut theirs) = pair();
        theirs.write_all(b"one\ntw").unwrap();
        client.receive().unwrap();
        assert_eq!(client.next_line().as_deref(), Some(&b"one"[..]));
        assert_eq!(client.next_line(), None);
        theirs.write_all(b"o\n").unwrap();
        client.receive().unwrap();
        client.awaits_mend = true;
        assert_eq!(client.next_line(), None);
        client.awaits_mend = false;
        assert_eq!(client.next_line().as_deref(), Some(&b"two"[..]));
        drop(theirs);
        assert_eq!(client.receive(), Err(Gone));
    }

    #[test]
    fn an_endless_line_is_refused() {
        let (mut client, mut theirs) = pair();
        theirs.write_all(&[b'x'; LINE_MAX + 1]).unwrap();
        let mut outcome = Ok(());
        while outcome.is_ok() {
            outcome = client.receive();
        }
        drop(client);
        let mut answer = String::new();
        // The reset that may follow the answer does not take the answer back.
        let _ = theirs.read_to_string(&mut answer);
        assert!(answer.contains("at most 4096 bytes"), "{answer}");
    }

    #[test]
    fn no_more_clients_than_the_bound() {
        let mut clients = Clients::default();
        let mut ends = Vec::new();
        for _ in 0..CLIENTS_MAX {
            let (ours, theirs) = UnixStream::pair().unwrap();
            assert!(clients.admit(ours).is_some());
            ends.push(theirs);
        }
        let (ours, _theirs) = UnixStream::pair().unwrap();
        assert!(clients.admit(ours).is_none());
        clients.remove(0);
        let (ours, _theirs) = UnixStream::pair().unwrap();
        assert_eq!(
            clients.admit(ours).map(|(number, _)| number),
            Some(CLIENTS_MAX as u32)
        );
    }
}
