// SPDX-License-Identifier: GPL-2.0
//! Destaging: sorted runs of blocks to the disk (PROTOCOL P5).

use super::config::BLOCKS_MAX;
use super::log::Run;
use super::machine::Volume;
use super::plan::{DestageEnd, DestagePlan, Range, RunId, Source};
use super::status::Mode;
use super::tickets::Ticket;
use crate::volume::log::entry::{Entry, NONE};
use crate::volume::log::Slab;

/// The longest rest after failures, in poll times.
const REST_MAX: u64 = 32;

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// The next run of at most `max` blocks to write to the backing disk. To be issued at once: the lease was checked
    /// at `now`. `None` if there is nothing, or it may not be now.
    pub fn next_destage(&mut self, now: u64, max: u32) -> Option<DestagePlan> {
        if now < self.log.destage_from || self.right_to_io(now).is_err() {
            return None;
        }
        let max = max.min(BLOCKS_MAX as u32).max(1);
        let index = self.log.runs.iter().position(|run| !run.active)?;
        let middle = self.log.first_ready()?;
        let mut first = middle;
        let mut count = 1;
        while count < max && first > 0 && self.log.ready_version(first - 1).is_some() {
            (first, count) = (first - 1, count + 1);
        }
        let mut end = middle.saturating_add(1);
        while count < max && end < self.config.blocks && self.log.ready_version(end).is_some() {
            (end, count) = (end.saturating_add(1), count + 1);
        }
        let mut sources = [Source::Disk; BLOCKS_MAX];
        let (mut head, mut last) = (NONE, NONE);
        for (block, source) in (first..end).zip(&mut sources) {
            let Some(entry) = self.log.ready_version(block) else {
                continue;
            };
            *source = self.log_source(entry);
            self.log.start(entry);
            if last == NONE {
                head = entry;
            } else {
                self.log.at_mut(last).ready_next = entry;
            }
            last = entry;
        }
        let run = self.log.runs.get_mut(index)?;
        *run = Run {
            serial: run.serial.wrapping_add(1),
            first: head,
            active: true,
        };
        Some(DestagePlan {
            run: RunId {
                index: index as u8,
                serial: run.serial,
            },
            range: Range {
                block: first,
                count,
            },
            sources,
        })
    }

    /// Whether somebody waits for the log to get emptier: then the environment does well not to wait for longer runs.
    pub fn destage_is_urgent(&self) -> bool {
        let dirty = self.log.dirty();
        dirty > self.config.dirty_limit / 2
            || self.ownership.leaving.is_under_way()
            || self.requests.tickets.used() > 0
            || !matches!(self.mode(), Some(Mode::Mirrored))
    }

    /// Whether `next_destage` would give a run.
    pub fn wants_destage(&self, now: u64) -> bool {
        now >= self.log.destage_from
            && self.log.first_ready().is_some()
            && self.right_to_io(now).is_ok()
    }

    /// Whether a run may still be issued: to be asked right before that, when everything else is prepared. If not, it is
    /// to be handed back as [`DestageEnd::NotIssued`].
    pub fn may_issue(&self, run: RunId, now: u64) -> bool {
        let Some(run) = self.run(run) else {
            return false;
        };
        // The entries of a run from before the last change of the ownership are gone.
        now >= self.log.destage_from && self.right_to_io(now).is_ok() && self.log.is_live(run.first)
    }

    /// A run is over.
    pub fn destage_finish(&mut self, run: RunId, end: DestageEnd, now: u64) {
        let Some(found) = self.run(run) else {
            return;
        };
        if let Some(run) = self.log.runs.get_mut(usize::from(run.index)) {
            run.active = false;
            run.first = NONE;
        }
        let mut entry = found.first;
        let mut owned = false;
        let mut left = match end {
            DestageEnd::Corrupt { at } => at,
            DestageEnd::Written | DestageEnd::Failed | DestageEnd::NotIssued => u32::MAX,
        };
        let mut corrupt = None;
        while entry != NONE {
            let next = self.log.at(entry).ready_next;
            self.log.at_mut(entry).ready_next = NONE;
            owned |= self.log.is_live(entry);
            if left == 0 && self.log.is_live(entry) {
                corrupt = Some(entry);
            }
            left = left.saturating_sub(1);
            let tickets = &mut self.requests.tickets;
            self.log
                .finish(entry, end == DestageEnd::Written, |ticket| {
                    if ticket != NONE {
                        tickets.queue(ticket);
                    }
                });
            entry = next;
        }
        self.requests.tickets.queue_long();
        self.stir();
        // In these modes the next record waits for runs, not for a ticket.
        self.agenda.poke |= matches!(
            self.mode(),
            Some(Mode::Holding | Mode::Degraded | Mode::Joining)
        );
        match end {
            DestageEnd::Written => {
                self.log.destage_rest_ns = 0;
            }
            DestageEnd::Corrupt { .. } if owned => {
                if let Some(entry) = corrupt {
                    self.log.condemn(entry);
                }
                self.rest(now);
            }
            DestageEnd::Failed if owned => self.rest(now),
            _ => (),
        }
    }

    /// The ownership is over. Adopted entries are no part of the runs in flight any more: their slots may be adopted anew
    /// before those end. Own slots are not free before.
    pub(crate) fn disown_runs(&mut self) {
        let slots = self.log.slots();
        for index in 0..self.log.runs.len() {
            let mut entry = self.log.runs.get(index).map_or(NONE, |run| run.first);
            let (mut first, mut last) = (NONE, NONE);
            while entry != NONE {
                let next = self.log.at(entry).ready_next;
                self.log.at_mut(entry).ready_next = NONE;
                if entry >= slots {
                    self.log.finish(entry, false, |_| ());
                } else if last == NONE {
                    (first, last) = (entry, entry);
                } else {
                    self.log.at_mut(last).ready_next = entry;
                    last = entry;
                }
                entry = next;
            }
            if let Some(run) = self.log.runs.get_mut(index) {
                run.first = first;
            }
        }
    }

    /// Destaging rests after a failure, the longer the more often one follows another, and goes on without end: the log
    /// may be the only copy. Runs that were in flight together are one failure.
    fn rest(&mut self, now: u64) {
        if now < self.log.destage_from {
            return;
        }
        let poll = self.config.poll_ns;
        let twice = self.log.destage_rest_ns.saturating_mul(2);
        self.log.destage_rest_ns = twice.clamp(poll, poll.saturating_mul(REST_MAX));
        self.log.destage_from = now.saturating_add(self.log.destage_rest_ns);
        self.at(self.log.destage_from);
    }

    /// Whether a run is in flight.
    pub(crate) fn is_destaging(&self) -> bool {
        self.log.runs.iter().any(|run| run.active)
    }
}
