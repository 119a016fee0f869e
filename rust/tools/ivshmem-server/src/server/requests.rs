// SPDX-License-Identifier: GPL-2.0
//! Requests of control clients, and their answers.

use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventFlags};

use super::Server;
use crate::command::{Answer, Command};
use crate::token::Token;

impl Server {
    pub(super) fn admit_client(&mut self) {
        let Some(stream) = self.control.accept() else {
            return;
        };
        let Some((number, client)) = self.clients.admit(stream) else {
            return;
        };
        let flags = EventFlags::IN | EventFlags::RDHUP;
        if epoll::add(
            &self.epoll,
            client.stream(),
            Token::Client(number).pack(),
            flags,
        )
        .is_err()
        {
            self.clients.remove(number);
        }
    }

    pub(super) fn serve_client(&mut self, number: u32, flags: EventFlags) {
        if self.try_serve_client(number, flags).is_none() {
            // Dropping closes the only descriptor, which takes it out of the epoll set.
            self.clients.remove(number);
        }
    }

    /// `None`: the client is to be let go.
    fn try_serve_client(&mut self, number: u32, flags: EventFlags) -> Option<()> {
        if flags.contains(EventFlags::IN) {
            self.clients.get(number)?.receive().ok()?;
        } else if flags.intersects(EventFlags::HUP | EventFlags::ERR | EventFlags::RDHUP) {
            return None;
        }
        while let Some(line) = self.clients.get(number)?.next_line() {
            let answer = match Command::parse(&line) {
                Ok(command) => self.obey(command, number),
                Err(error) => Some(Answer::failed(error)),
            };
            if let Some(answer) = answer {
                self.clients.get(number)?.send(&answer).ok()?;
            }
        }
        let waits = self.clients.get(number)?.flush().ok()?;
        let flags = EventFlags::IN
            | EventFlags::RDHUP
            | if waits {
                EventFlags::OUT
            } else {
                EventFlags::empty()
            };
        epoll::modify(
            &self.epoll,
            self.clients.get(number)?.stream(),
            Token::Client(number).pack(),
            flags,
        )
        .ok()
    }

    /// `None`: the answer comes when the mend shows.
    fn obey(&mut self, command: Command, client: u32) -> Option<Answer> {
        let now = Instant::now();
        match command {
            Command::Status {} => {}
            Command::Cut {} => {
                let change = self.cable.cut(now);
                self.apply(change);
                self.answer_mends(&Answer::failed(
                    "the link was cut again before the mend could show: mend it again",
                ));
            }
            Command::Mend {} => {
                let change = self.cable.mend(now);
                self.apply(change);
                if self.cable.is_cut() {
                    self.clients.get(client)?.awaits_mend = true;
                    return None;
                }
            }
            Command::DropDoorbells { count } => self.doorbells.set_drop(count.into()),
            Command::DelayDoorbells { ms } => self.doorbells.set_delay(Duration::from_millis(ms)),
        }
        Some(Answer::done(self.status()))
    }

    pub(super) fn answer_mends(&mut self, answer: &Answer) {
        for number in self.clients.awaiting_mend() {
            let sent = self.clients.get(number).map(|client| {
                client.awaits_mend = false;
                client.send(answer)
            });
            if sent != Some(Ok(())) {
                self.clients.remove(number);
            } else {
                // Lines may have come in behind the mend.
                self.serve_client(number, EventFlags::empty());
            }
        }
    }
}
