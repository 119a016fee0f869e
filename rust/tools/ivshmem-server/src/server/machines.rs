// SPDX-License-Identifier: GPL-2.0
//! Machines that come and go.
//!
//! A machine is told of all sides when it connects, present or not, and of nothing after that: the bells that
//! it was given are the server's, and lead to whoever is on the other side at the time. QEMU could not be told
//! anyway: it frees the table of a peer's eventfds when the peer goes, and uses it again when the same peer
//! id comes back (10.0 and before; the machine dies of a corrupted heap soon after).

use std::os::unix::net::UnixStream;
use std::rc::Rc;

use anyhow::Result;
use rustix::event::epoll::{self, EventFlags};
use rustix::io::Errno;

use super::Server;
use crate::doorbell::Ring;
use crate::peer::{self, new_vectors, Peer};
use crate::token::Token;
use crate::wire::{Flushed, MEMORY, PROTOCOL_VERSION};

impl Server {
    pub(super) fn machine(&self, side: u16) -> Option<&Peer> {
        self.sides.get(usize::from(side))?.machine.as_ref()
    }

    fn machine_mut(&mut self, side: u16) -> Option<&mut Peer> {
        self.sides.get_mut(usize::from(side))?.machine.as_mut()
    }

    fn connected_sides(&self) -> Vec<u16> {
        (0..self.sides.len() as u16)
            .filter(|&side| self.machine(side).is_some())
            .collect()
    }

    pub(super) fn admit_machine(&mut self, side: u16) {
        let Some(stream) = self
            .sides
            .get(usize::from(side))
            .and_then(|s| s.listener.accept())
        else {
            return;
        };
        if self.machine(side).is_some() {
            self.drop_machine(side, "replaced by a new connection");
        }
        if let Err(error) = self.connect_machine(side, stream) {
            self.drop_machine(side, &format!("cannot be connected: {error:#}"));
        }
        self.flush_machines();
    }

    fn connect_machine(&mut self, side: u16, stream: UnixStream) -> Result<()> {
        let others = (0..self.sides.len() as u16).filter(|&other| other != side);
        let limit = (self.sides.len() + 1) * usize::from(self.vectors) + 16;
        let mut machine = Peer::new(stream, self.vectors, limit)?;
        let full = |_| anyhow::anyhow!("its messages do not fit the outbox");
        machine.outbox.push(PROTOCOL_VERSION, None).map_err(full)?;
        machine.outbox.push(i64::from(side), None).map_err(full)?;
        machine
            .outbox
            .push(
                MEMORY,
                Some(Rc::new(self.memory.fd().try_clone_to_owned()?)),
            )
            .map_err(full)?;
        for other in others {
            let bells = self.listen_to_bells(side, other)?;
            machine.tell_vectors(other, &bells).map_err(full)?;
            machine.bells.insert(other, bells);
        }
        machine
            .tell_vectors(side, &machine.ears.clone())
            .map_err(full)?;
        epoll::add(
            &self.epoll,
            &machine.stream,
            Token::Machine(side).pack(),
            EventFlags::IN | EventFlags::RDHUP,
        )?;
        eprintln!("side {side}: connected, pid {}", machine.pid().unwrap_or(0));
        if let Some(slot) = self.sides.get_mut(usize::from(side)) {
            slot.machine = Some(machine);
            slot.connects += 1;
        }
        Ok(())
    }

    fn listen_to_bells(&self, from: u16, to: u16) -> Result<peer::Vectors, Errno> {
        let bells = new_vectors(self.vectors)?;
        for (vector, bell) in (0u16..).zip(&bells) {
            epoll::add(
                &self.epoll,
                bell,
                Token::Bell(Ring { from, to, vector }).pack(),
                EventFlags::IN,
            )?;
        }
        Ok(bells)
    }

    /// The machine holds the bells too, so closing ours is not enough.
    fn stop_listening(&self, bells: &peer::Vectors) {
        for bell in bells {
            // A bell that is not in the set is what we want.
            let _ = epoll::delete(&self.epoll, bell);
        }
    }

    fn drop_machine(&mut self, side: u16, reason: &str) {
        let Some(machine) = self
            .sides
            .get_mut(usize::from(side))
            .and_then(|s| s.machine.take())
        else {
            return;
        };
        eprintln!("side {side}: gone: {reason}");
        let _ = epoll::delete(&self.epoll, &machine.stream);
        machine
            .bells
            .values()
            .for_each(|bells| self.stop_listening(bells));
        self.doorbells
            .forget(|ring| ring.from == side || ring.to == side);
    }

    pub(super) fn look_at_machine(&mut self, side: u16) {
        if let Some(reason) = self.machine_mut(side).and_then(Peer::ended) {
            self.drop_machine(side, &reason);
        }
        self.flush_machines();
    }

    fn flush_machines(&mut self) {
        for side in self.connected_sides() {
            if let Err(error) = self.flush_machine(side) {
                self.drop_machine(side, &error.to_string());
            }
        }
    }

    fn flush_machine(&mut self, side: u16) -> Result<(), Errno> {
        let Some(machine) = self
            .sides
            .get_mut(usize::from(side))
            .and_then(|s| s.machine.as_mut())
        else {
            return Ok(());
        };
        let blocked = machine.flush()? == Flushed::Blocked;
        if blocked != machine.asks_to_write {
            machine.asks_to_write = blocked;
            let flags = EventFlags::IN
                | EventFlags::RDHUP
                | if blocked {
                    EventFlags::OUT
                } else {
                    EventFlags::empty()
                };
            epoll::modify(
                &self.epoll,
                &machine.stream,
                Token::Machine(side).pack(),
                flags,
            )?;
        }
        Ok(())
    }
}
