// SPDX-License-Identifier: GPL-2.0
//! A peer that plays the whole greeting, and then says what it likes: a session over one link, whose window it writes.
//!
//! The input is a list of steps. Most of them are almost right, made from what this end has said last: else nothing would
//! get past the nonces.

use super::{array, wire::good_hello};
use std::cell::Cell;
use yoke_core::ids::{Incarnation, LinkEpoch, LinkId, NodeId, Uuid};
use yoke_core::link::{Carrier, Settings};
use yoke_core::region::{CellRegion, Region};
use yoke_core::session::{Kept, Session, SessionConfig, Slot};
use yoke_core::window::{beat_at, Layout, CONSUMED_AT, HELLO_AT, RING_AT};
use yoke_core::wire::heartbeat::{self, Heartbeat};
use yoke_core::wire::hello::{self, Hello};
use yoke_core::wire::message::{self, Header, Port, ENTRY_SIZE, MESSAGE_MAX};

const WINDOW: usize = 16 * 1024;
const ENTRIES: u32 = 8;
const STEP: usize = 12;
/// More than any run of steps can bring: a loop without an end is found.
const RECEIVED_MAX: usize = 4096;

type Host = Session<Vec<Slot>, Vec<Kept>>;

/// Both windows, and what the peer knows.
struct Peer {
    own: Vec<Cell<u64>>,
    theirs: Vec<Cell<u64>>,
    hello: Hello,
    hello_word: u64,
    beat: u64,
    position: u64,
    seq: u64,
}

impl Peer {
    fn new() -> Self {
        Self {
            own: vec![Cell::new(0); WINDOW / 8],
            theirs: vec![Cell::new(0); WINDOW / 8],
            hello: good_hello(),
            hello_word: 0,
            beat: 0,
            position: 0,
            seq: 0,
        }
    }

    /// The HELLO that this end has posted.
    fn heard(&self) -> Option<Hello> {
        let mut bytes = [0; hello::SIZE];
        let theirs = CellRegion::new(&self.theirs);
        theirs.copy_out(HELLO_AT, &mut bytes).ok()?;
        Hello::parse(u64::from_le_bytes(array(&bytes)), &bytes).ok()
    }

    fn epoch(&self) -> LinkEpoch {
        let heard = self.heard().map_or(1, |hello| hello.nonce);
        // The peer is node 5, this end node 0.
        LinkEpoch::form(heard, self.hello.nonce)
    }

    fn put(&self, at: u64, bytes: &[u8]) {
        // Where it does not fit nothing is written, as by a bridge.
        let _ = CellRegion::new(&self.own).copy_in(at, bytes);
    }

    /// How many messages this end says that it has put into the ring of this epoch.
    fn heard_produced(&self) -> u64 {
        let (number, mut bytes) = (self.heard_beat(), [0; heartbeat::SIZE]);
        let theirs = CellRegion::new(&self.theirs);
        let copied = theirs.copy_out(beat_at(number), &mut bytes);
        let beat = copied
            .ok()
            .and_then(|()| Heartbeat::parse(self.epoch(), number, &bytes).ok());
        beat.map_or(0, |beat| beat.produced)
    }

    /// The newest heartbeat that this end has posted, 0 for none.
    fn heard_beat(&self) -> u64 {
        let theirs = CellRegion::new(&self.theirs);
        let number = |slot| {
            let word = theirs.load_acquire_u64(beat_at(slot)).ok()?;
            // Of another epoch it is an arbitrary number.
            Some(heartbeat::number(self.epoch(), word)).filter(|&number| number < 1 << 32)
        };
        number(0).max(number(1)).unwrap_or(0)
    }

    fn step(&mut self, step: [u8; STEP]) {
        let (what, small) = (step[0], u64::from(step[1]));
        let word = u64::from_le_bytes(array(&step[4..]));
        match what % 8 {
            // Any bytes anywhere.
            0 => self.put(
                u64::from(u16::from_le_bytes([step[2], step[3]])),
                &step[4..],
            ),
            // A HELLO that answers; some of its fields are as it likes.
            1 => self.greet(small, word),
            2 => self.beat(small, word),
            3 => self.message(small, word),
            4 => self.put(
                CONSUMED_AT,
                &self.epoch().get().wrapping_add(small).to_le_bytes(),
            ),
            5 => self.put(CONSUMED_AT, &word.to_le_bytes()),
            // Time passes, in the session's own steps: see `session`.
            _ => {}
        }
    }

    fn greet(&mut self, field: u64, word: u64) {
        let hello = &mut self.hello;
        match field {
            1 => hello.nonce = word.max(1),
            2 => hello.peer.session = word.max(1),
            3 => hello.peer.incarnation = Incarnation::new(word.max(1)).expect("not 0"),
            4 => hello.leaving = !hello.leaving,
            5 => hello.refusal = word as u8,
            6 => hello.window_size = word,
            7 => hello.ring_entries = word as u32,
            8 => hello.beat_interval_us = word as u32,
            9 => hello.required = word,
            10 => hello.appliance = Uuid::from_bytes([word as u8; 16]),
            11 => *hello = good_hello(),
            _ => {}
        }
        self.hello.echo = match field {
            12 => word,
            _ => self.heard().map_or(0, |hello| hello.nonce),
        };
        (self.beat, self.position) = (0, 0);
        self.hello_word = self.hello_word.wrapping_add(1).max(1);
        self.put(HELLO_AT, &self.hello.encode(self.hello_word));
        // It has read nothing of the ring in this epoch.
        self.put(CONSUMED_AT, &self.epoch().get().to_le_bytes());
    }

    fn beat(&mut self, field: u64, word: u64) {
        self.beat = self.beat.wrapping_add(1);
        let mut beat = Heartbeat {
            number: self.beat,
            echo: self.heard_beat(),
            echo_age_us: 10,
            produced: self.position,
            // In its first epoch a message has the number of its place. Without this the session soon ends: a peer that
            // takes nothing is not waited for.
            ack: self.heard_produced(),
        };
        match field {
            1 => beat.number = word,
            2 => beat.echo = word,
            3 => beat.echo_age_us = word as u32,
            4 => beat.produced = word,
            5 => beat.ack = word,
            _ => {}
        }
        self.put(beat_at(beat.number), &beat.encode(self.epoch()));
    }

    fn message(&mut self, field: u64, word: u64) {
        self.seq = self.seq.wrapping_add(1);
        let text = word.to_le_bytes();
        let mut header = Header {
            seq: self.seq,
            ack: 0,
            port: Port(word as u8),
            len: text.len() as u16,
        };
        match field {
            1 => header.seq = word,
            2 => header.ack = word,
            3 => header.len = word as u16,
            4 => self.position = word,
            5 => self.seq = word,
            _ => {}
        }
        let at = RING_AT + self.position % u64::from(ENTRIES) * ENTRY_SIZE as u64;
        self.put(at + message::HEADER_SIZE as u64, &text);
        self.put(at, &header.encode(self.epoch(), self.position, &text));
        self.position = self.position.wrapping_add(1);
    }
}

/// Whatever the peer does: nothing panics, and the session takes no more than it was sent.
pub(super) fn session(data: &[u8]) {
    play(data);
}

/// How many messages the session has taken.
fn play(data: &[u8]) -> usize {
    let config = SessionConfig {
        appliance: Uuid::from_bytes([7; 16]),
        node: NodeId::new(0).expect("a node"),
        incarnation: Incarnation::new(77).expect("not 0"),
        expect: None,
        linger_ns: 100_000_000,
        closing_ns: 200_000_000,
    };
    let mut session = Host::new(config, 5, vec![Slot::default(); 1], vec![Kept::EMPTY; 6]);
    let id = LinkId::new(0).expect("a link");
    let window = Layout::new(WINDOW as u64, ENTRIES).expect("a layout");
    session
        .add_link(id, window, Settings::DEFAULT)
        .expect("there is room for a link");
    let mut peer = Peer::new();
    let mut now = 1_000_000_000;
    let mut received = 0;
    for step in data.chunks(STEP).take(200) {
        let step: [u8; STEP] = array(step);
        peer.step(step);
        if step[0] % 8 == 6 {
            now += u64::from(step[1]) * 10_000_000;
        }
        let _ = session.send(Port(5), &step);
        let (own, theirs) = (CellRegion::new(&peer.own), CellRegion::new(&peer.theirs));
        let carrier = Carrier {
            up: step[0] < 250,
            downs: u64::from(step[0] >= 250),
        };
        session.poll(id, now, carrier, &own, &theirs);
        while session.next_action().is_some() {}
        let mut buffer = [0; MESSAGE_MAX];
        while let Some(taken) = session.receive(id, now, &own, &theirs, &mut buffer) {
            assert!(taken.len <= MESSAGE_MAX);
            received += 1;
            assert!(received < RECEIVED_MAX, "messages without an end");
        }
        while session.next_action().is_some() {}
        if session.peer().is_none() {
            session.drained(now);
        }
        assert!(session.next_deadline(now) >= now || session.next_deadline(now) > 0);
        now += 1_000_000;
    }
    received
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let step = |what: u8, field: u8, word: u64| {
        let mut step = vec![what, field, 0, 0];
        step.extend(word.to_le_bytes());
        step
    };
    // Greeting, answered twice; then heartbeats, messages, and room in the ring again, as this end sends one each step.
    let mut good = [step(7, 0, 0), step(1, 0, 0), step(1, 0, 0)].concat();
    for turn in 0..4 {
        good.extend(step(2, 0, 0));
        good.extend(step(3, 0, 5));
        good.extend(step(4, 3 * turn, 0));
    }
    let mut silent = good.clone();
    silent.extend(step(6, 255, 0));
    silent.extend(good.clone());
    let mut another = good.clone();
    another.extend(step(1, 3, 9));
    another.extend(step(1, 2, 2));
    another.extend(good.clone());
    vec![good, silent, another]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Else the target never gets past the greeting.
    #[test]
    fn the_seeds_bring_messages() {
        let taken: Vec<usize> = seeds().iter().map(|seed| play(seed)).collect();
        assert!(taken.iter().all(|&count| count >= 4), "{taken:?}");
    }
}
