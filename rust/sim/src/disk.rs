// SPDX-License-Identifier: GPL-2.0
//! The shared disk: a queue whose commands land late, in any order, and even
//! after their issuer's death; and a volatile cache that dies with the power.
//!
//! A command is queued, *lands* (its effect on the disk, its data for a read)
//! and is *completed* (its issuer is told, if it still lives). What a FLUSH or
//! PREFLUSH makes safe is what was completed before it was queued, no more.

use std::hash::{Hash, Hasher};

use yoke_core::volume::{PassId, RunId, Token};

use crate::explore::fingerprint;

pub mod target;
mod verb;

use target::{Aborted, Target};
pub use verb::{Block, Cell, Place, Verb};

/// Who issued a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Issuer {
    /// Index of the controller.
    pub controller: usize,
    /// Its life: every start of a controller has another number.
    pub life: u32,
    /// The owner generation under which it was issued.
    pub generation: u64,
}

/// What a controller remembers with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cookie {
    /// A read of a job; the index of its first block in the data.
    Job(u8, u32),
    /// A read of the block of this node.
    NodeRead(Token, u8),
    /// A write of the own block.
    NodeWrite(Token),
    /// A destage run.
    Destage(RunId),
    /// A flush that the machine asked for.
    Flush(Token),
    /// A discard or write-zeroes.
    Pass(PassId),
    /// The same, which the disk does not know: it does no more than a part of it.
    Refused(PassId),
}

/// Names a command in the queue; reused after its completion.
pub type CommandId = u16;

/// A command in the queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Command<C> {
    /// Its name while it is in the queue.
    pub id: CommandId,
    /// Who issued it.
    pub issuer: Issuer,
    /// What it does.
    pub verb: Verb,
    /// What the issuer wants to remember with it.
    pub cookie: C,
    /// When it was queued, in true nanoseconds.
    pub issued_ns: u64,
    /// Whether its effect has happened.
    pub landed: bool,
    /// It will never land, and is to be answered with an error.
    pub aborted: bool,
    /// Its issuer was told that it has failed. It lands all the same.
    pub disowned: bool,
    /// It is in its host's queue: the target looks whether it is let in when it lands.
    pub late: bool,
    /// Data of a landed read.
    pub data: Vec<Cell>,
}

/// A write that has landed but may die with the power.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Cached {
    place: Place,
    cell: Cell,
    by: CommandId,
    completed: bool,
    /// Queued flushes that make it safe when they land.
    covered_by: Vec<CommandId>,
}

/// The disk that the controllers share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk<C> {
    head: Vec<Cell>,
    data: Vec<Block>,
    cache: Vec<Cached>,
    queue: Vec<Command<C>>,
    volatile: bool,
    /// The reservation.
    pub target: Target,
    /// The last name that was given; none: names are used again, so that the same queue is the same state.
    named: Option<CommandId>,
}

impl<C: Copy + Hash> Hash for Disk<C> {
    /// The queue has no order, and while nothing is cached the names of its commands say nothing.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.head.hash(state);
        self.data.hash(state);
        self.target.hash(state);
        if !self.cache.is_empty() {
            return (&self.cache, &self.queue).hash(state);
        }
        let mut queue: Vec<u64> = self.queue.iter().map(Command::fingerprint).collect();
        queue.sort_unstable();
        queue.hash(state);
    }
}

impl<C: Copy + Hash> Command<C> {
    /// All of it but its name.
    fn fingerprint(&self) -> u64 {
        let ends = (self.landed, self.aborted, self.disowned, self.late);
        fingerprint(&(
            self.issuer,
            &self.verb,
            self.cookie,
            self.issued_ns,
            ends,
            &self.data,
        ))
    }
}

impl<C: Copy> Disk<C> {
    /// A disk with `head` cells and `data` blocks of 0, with or without a
    /// volatile cache, at such a target.
    pub fn new(head: Vec<Cell>, data: usize, volatile: bool, target: target::Kind) -> Self {
        Disk {
            head,
            data: vec![[0; 2]; data],
            cache: Vec::new(),
            queue: Vec::new(),
            volatile,
            target: Target::new(target),
            named: None,
        }
    }

    /// From now on names are used again after a long time only: what was to happen to a command that is gone does not
    /// happen to another one.
    pub fn name_anew(&mut self) {
        self.named = Some(0);
    }

    /// Queues a command.
    pub fn submit(&mut self, issuer: Issuer, verb: Verb, cookie: C, now_ns: u64) -> CommandId {
        let mut id = self.named.map_or(0, |last| last.wrapping_add(1));
        while self.queue.iter().any(|c| c.id == id)
            || self.cache.iter().any(|c| !c.completed && c.by == id)
        {
            id = id.wrapping_add(1);
        }
        self.named = self.named.map(|_| id);
        let flushes = matches!(verb, Verb::Flush | Verb::Write { preflush: true, .. });
        for cached in self.cache.iter_mut().filter(|c| flushes && c.completed) {
            cached.covered_by.push(id);
        }
        self.queue.push(Command {
            id,
            issuer,
            verb,
            cookie,
            issued_ns: now_ns,
            landed: false,
            aborted: false,
            disowned: false,
            late: false,
            data: Vec::new(),
        });
        id
    }

    /// The commands in the queue.
    pub fn queue(&self) -> &[Command<C>] {
        &self.queue
    }

    /// The effect of a command happens now.
    pub fn land(&mut self, id: CommandId) {
        let Some(at) = self
            .queue
            .iter()
            .position(|c| c.id == id && !c.landed && !c.aborted)
        else {
            return;
        };
        self.queue[at].landed = true;
        // What it was to do is not needed any more.
        match std::mem::replace(&mut self.queue[at].verb, Verb::Flush) {
            Verb::Read(places) => {
                self.queue[at].data = places.iter().map(|p| self.peek(*p)).collect();
            }
            Verb::Flush => self.make_safe(id),
            Verb::Write {
                cells,
                preflush,
                fua,
            } => {
                if preflush {
                    self.make_safe(id);
                }
                for (place, cell) in cells {
                    self.write(place, cell, id, fua);
                }
            }
        }
    }

    /// Lands only the first `n` cells of a write: the rest follows with `land`.
    pub fn land_part(&mut self, id: CommandId, n: usize) {
        let Some(c) = self
            .queue
            .iter()
            .find(|c| c.id == id && !c.landed && !c.aborted)
        else {
            return;
        };
        if let Verb::Write {
            cells,
            preflush: false,
            fua,
        } = c.verb.clone()
        {
            for (place, cell) in cells.into_iter().take(n) {
                self.write(place, cell, id, fua);
            }
        }
    }

    /// The device reports a command as done, or as failed if `bad`; it leaves the
    /// queue. One that is good has landed; one that failed may have.
    pub fn complete(&mut self, id: CommandId, bad: bool) -> Option<Command<C>> {
        let at = self
            .queue
            .iter()
            .position(|c| c.id == id && (c.landed || bad))?;
        self.cache
            .iter_mut()
            .filter(|c| c.by == id)
            .for_each(|c| c.completed = true);
        Some(self.queue.remove(at))
    }

    /// A command is in its host's queue until it lands.
    pub fn arrives_late(&mut self, id: CommandId) {
        self.queue
            .iter_mut()
            .filter(|c| c.id == id)
            .for_each(|c| c.late = true);
    }

    /// Whether the target has a write of `controller` that may still land.
    pub fn has_under_way(&self, controller: usize) -> bool {
        self.queue.iter().any(|c| {
            let lands = !c.landed && !c.aborted && !c.late;
            lands && c.issuer.controller == controller && c.verb.writes()
        })
    }

    /// Writes of `controller` that have not landed never will, wherever they are. Says which.
    pub fn forget_writes(&mut self, controller: usize) -> Vec<CommandId> {
        self.abort_if(|c| c.issuer.controller == controller && c.verb.writes())
    }

    /// Commands of `controller` that the target has and that have not landed never will, and are answered
    /// with an error: what preempt-and-abort of a reservation does. Says which.
    pub fn abort(&mut self, controller: usize, which: Aborted) -> Vec<CommandId> {
        self.abort_if(|c| {
            let aborted = match which {
                Aborted::None => false,
                Aborted::Some => c.id % 2 == 0,
                Aborted::All => true,
            };
            aborted && !c.late && c.issuer.controller == controller
        })
    }

    fn abort_if(&mut self, which: impl Fn(&Command<C>) -> bool) -> Vec<CommandId> {
        let victims = self.queue.iter_mut().filter(|c| !c.landed && which(c));
        victims
            .map(|c| {
                c.aborted = true;
                c.id
            })
            .collect()
    }

    /// A command will never land, and is to be answered with an error.
    pub fn reject(&mut self, id: CommandId) {
        self.queue
            .iter_mut()
            .filter(|c| c.id == id)
            .for_each(|c| c.aborted = true);
    }

    /// The issuer is told that a command has failed, which lands all the same.
    pub fn disown(&mut self, id: CommandId) {
        self.queue
            .iter_mut()
            .filter(|c| c.id == id)
            .for_each(|c| c.disowned = true);
    }

    /// All power is lost: the queue is gone, and of every place one of its
    /// cached versions, or the safe one, survives: `pick(n)` says which, in `0..n`.
    pub fn power_loss(&mut self, mut pick: impl FnMut(usize) -> usize) {
        self.queue.clear();
        let cache = std::mem::take(&mut self.cache);
        self.survivors(cache, &mut pick);
    }

    /// What was completed and is only in the cache is lost, as `power_loss` loses it. The queue stays, and with it what
    /// has landed and was not completed.
    pub fn cache_loss(&mut self, mut pick: impl FnMut(usize) -> usize) {
        let cache = std::mem::take(&mut self.cache);
        let (lost, kept) = cache.into_iter().partition(|c| c.completed);
        self.cache = kept;
        self.survivors(lost, &mut pick);
    }

    fn survivors(&mut self, mut cache: Vec<Cached>, pick: &mut impl FnMut(usize) -> usize) {
        while let Some(first) = cache.first() {
            let place = first.place;
            let versions: Vec<Cell> = cache
                .iter()
                .filter(|c| c.place == place)
                .map(|c| c.cell.clone())
                .collect();
            let survivor = pick(versions.len() + 1);
            if let Some(cell) = survivor.checked_sub(1).and_then(|i| versions.get(i)) {
                self.store(place, cell.clone());
            }
            cache.retain(|c| c.place != place);
        }
    }

    /// What a read that lands now would find.
    pub fn peek(&self, place: Place) -> Cell {
        if let Some(c) = self.cache.iter().rev().find(|c| c.place == place) {
            return c.cell.clone();
        }
        match place {
            // There are as many as were formatted; what else is asked for holds no node's block.
            Place::Head(i) => self
                .head
                .get(i as usize)
                .cloned()
                .unwrap_or(Cell::Block([0; 2])),
            Place::Data(i) => Cell::Block(self.data.get(i as usize).copied().unwrap_or([0; 2])),
        }
    }

    /// Puts a cell there, past queue and cache: for formatting, and for faults.
    pub fn store(&mut self, place: Place, cell: Cell) {
        match (place, cell) {
            (Place::Data(i), Cell::Block(block)) => {
                if let Some(data) = self.data.get_mut(i as usize) {
                    *data = block;
                }
            }
            (Place::Head(i), cell) => {
                if let Some(place) = self.head.get_mut(i as usize) {
                    *place = cell;
                }
            }
            (Place::Data(_), _) => {}
        }
    }

    fn write(&mut self, place: Place, cell: Cell, by: CommandId, fua: bool) {
        if self.volatile && !fua {
            let covered_by = Vec::new();
            self.cache.push(Cached {
                place,
                cell,
                by,
                completed: false,
                covered_by,
            });
        } else {
            self.cache.retain(|c| c.place != place);
            self.store(place, cell);
        }
    }

    /// Moves what flush `id` covers, and what it supersedes, to the safe part.
    fn make_safe(&mut self, id: CommandId) {
        let mut at = 0;
        while at < self.cache.len() {
            let place = self.cache[at].place;
            let covered = self.cache[at..]
                .iter()
                .any(|c| c.place == place && c.covered_by.contains(&id));
            if covered {
                let c = self.cache.remove(at);
                self.store(c.place, c.cell);
            } else {
                self.cache[at].covered_by.retain(|f| *f != id);
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: Issuer = Issuer {
        controller: 0,
        life: 1,
        generation: 1,
    };
    const P: Place = Place::Data(0);

    fn write(d: &mut Disk<u8>, value: u64, fua: bool) -> CommandId {
        let cells = vec![(P, Cell::Block([value; 2]))];
        d.submit(
            ME,
            Verb::Write {
                cells,
                preflush: false,
                fua,
            },
            0,
            0,
        )
    }

    fn done(d: &mut Disk<u8>, id: CommandId) {
        d.land(id);
        d.complete(id, false);
    }

    fn loss(d: &Disk<u8>, pick: usize) -> Cell {
        let mut d = d.clone();
        d.power_loss(|n| pick.min(n - 1));
        d.peek(P)
    }

    #[test]
    fn writes_are_seen_when_they_land_and_safe_when_flushed() {
        let mut d = Disk::new(Vec::new(), 1, true, target::Kind::Aborts);
        let w = write(&mut d, 5, false);
        assert_eq!(d.peek(P), Cell::Block([0; 2]));
        done(&mut d, w);
        assert_eq!(d.peek(P), Cell::Block([5; 2]));
        assert_eq!(loss(&d, 0), Cell::Block([0; 2]));
        assert_eq!(loss(&d, 1), Cell::Block([5; 2]));
        let f = d.submit(ME, Verb::Flush, 0, 0);
        done(&mut d, f);
        assert_eq!(loss(&d, 0), Cell::Block([5; 2]));
    }

    #[test]
    fn a_flush_covers_only_what_was_completed_before_it() {
        let mut d = Disk::new(Vec::new(), 1, true, target::Kind::Aborts);
        let w = write(&mut d, 5, false);
        d.land(w);
        let f = d.submit(ME, Verb::Flush, 0, 0);
        d.complete(w, false);
        done(&mut d, f);
        assert_eq!(loss(&d, 0), Cell::Block([0; 2]));
    }

    #[test]
    fn fua_is_safe_at_once_and_abort_drops_the_queue() {
        let mut d = Disk::new(Vec::new(), 1, true, target::Kind::Aborts);
        let w = write(&mut d, 5, true);
        done(&mut d, w);
        assert_eq!(loss(&d, 0), Cell::Block([5; 2]));
        let late = write(&mut d, 6, false);
        assert_eq!(d.abort(0, Aborted::All), [late]);
        d.land(late);
        assert_eq!(d.peek(P), Cell::Block([5; 2]));
        assert!(d.complete(late, true).is_some());
        assert!(d.queue().is_empty());
    }

    #[test]
    fn older_cached_versions_go_with_a_newer_safe_one() {
        let mut d = Disk::new(Vec::new(), 1, true, target::Kind::Aborts);
        for v in [5, 6] {
            let w = write(&mut d, v, false);
            done(&mut d, w);
        }
        let f = d.submit(ME, Verb::Flush, 0, 0);
        done(&mut d, f);
        assert_eq!(loss(&d, 0), Cell::Block([6; 2]));
        assert_eq!(loss(&d, 2), Cell::Block([6; 2]));
    }
}
