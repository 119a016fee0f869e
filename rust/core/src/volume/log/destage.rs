// SPDX-License-Identifier: GPL-2.0
//! Destaging: sorted runs of blocks to the disk (PROTOCOL P5).

use super::checks::Bad;
use super::entry::{Entry, EntryId, NONE};
use super::{Log, Slab};
use crate::ids::LinkId;
use crate::volume::config::BLOCKS_MAX;
use crate::volume::machine::{Volume, PIECE};
use crate::volume::plan::{DestageEnd, DestagePlan, Range, RunId, Source};
use crate::volume::requests::tickets::{Ticket, TicketIndex, NO_TICKET};
use crate::volume::status::Mode;

/// What became of the entries of a run.
struct Over {
    /// Some of them are in the log still.
    owned: bool,
    /// The one whose data is not what was adopted.
    corrupt: Option<EntryId>,
}

impl<E: Slab<Entry>, B: Slab<u32>> Log<E, B> {
    /// Where the data of an entry is.
    pub(crate) fn source(&self, entry: EntryId) -> Source {
        if !self.is_adopted(entry) {
            return Source::Log {
                slot: entry.index(),
            };
        }
        let at = self.at(entry);
        match LinkId::new(at.link) {
            Some(link) => Source::Adopted {
                link,
                slot: entry.index() - self.slots(),
                crc: at.crc,
            },
            None => Source::Disk,
        }
    }

    /// The next run of at most `max` blocks, of a volume of `blocks`: around the block that has waited longest.
    pub(super) fn begin_run(&mut self, max: u32, blocks: u64, now_ns: u64) -> Option<DestagePlan> {
        let index = self.runs.vacant()?;
        let middle = self.first_ready()?;
        self.adopted_next = !self.adopted_next;
        let mut block = middle;
        let mut count = 1;
        while count < max && block > 0 && self.ready_version(block - 1).is_some() {
            (block, count) = (block - 1, count + 1);
        }
        let mut end = middle.saturating_add(1);
        while count < max && end < blocks && self.ready_version(end).is_some() {
            (end, count) = (end.saturating_add(1), count + 1);
        }
        let mut sources = [Source::Disk; BLOCKS_MAX];
        let (mut head, mut last) = (NONE, NONE);
        for (block, source) in (block..end).zip(&mut sources) {
            let Some(entry) = self.ready_version(block) else {
                continue;
            };
            *source = self.source(entry);
            self.start(entry);
            if last == NONE {
                head = entry;
            } else {
                self.at_mut(last).ready_next = entry;
            }
            last = entry;
        }
        Some(DestagePlan {
            run: self.runs.begin(index, head, now_ns)?,
            range: Range { block, count },
            sources,
        })
    }

    /// A run is over, but if it failed its command lives for `life_ns` since its issue. Of each entry that is done now
    /// `each` is told the ticket.
    fn end_run(
        &mut self,
        id: RunId,
        end: DestageEnd,
        (life_ns, now_ns): (u64, u64),
        mut each: impl FnMut(TicketIndex),
    ) -> Option<Over> {
        if matches!(end, DestageEnd::Written | DestageEnd::Failed) {
            self.checked_run(id);
        }
        let (run, lost) = self.runs.end(id)?;
        let written = end == DestageEnd::Written && !lost;
        let until_ns = run.issued_ns.saturating_add(life_ns);
        let doubtful = end == DestageEnd::Failed && now_ns < until_ns;
        let corrupt = match end {
            DestageEnd::Corrupt { at } => Some(at),
            DestageEnd::Written
            | DestageEnd::Failed
            | DestageEnd::Refused
            | DestageEnd::NotIssued => None,
        };
        let mut over = Over {
            owned: false,
            corrupt: None,
        };
        let (mut entry, mut at) = (run.first, 0_u32);
        while entry != NONE {
            let next = self.at(entry).ready_next;
            self.at_mut(entry).ready_next = NONE;
            let live = self.is_live(entry);
            over.owned |= live;
            if live && corrupt == Some(at) {
                over.corrupt = Some(entry);
            }
            at = at.saturating_add(1);
            if doubtful && live {
                self.doubt(entry, until_ns);
            } else {
                self.finish(entry, written, |ticket| {
                    if ticket != NO_TICKET {
                        each(ticket);
                    }
                });
            }
            entry = next;
        }
        Some(over)
    }

    /// What the end of a run says of the disk. Whether destaging rests anew.
    fn judge_run(&mut self, end: DestageEnd, over: &Over, poll_ns: u64, now_ns: u64) -> bool {
        match end {
            DestageEnd::Written => {
                self.runs.went_well();
                false
            }
            DestageEnd::Corrupt { .. } if over.owned => {
                if let Some(entry) = over.corrupt {
                    if self.found_bad(entry) == Bad::Dropped {
                        return false;
                    }
                    self.condemn(entry);
                }
                self.runs.rest(poll_ns, now_ns)
            }
            DestageEnd::Failed | DestageEnd::Refused if over.owned => {
                self.runs.rest(poll_ns, now_ns)
            }
            _ => false,
        }
    }

    /// The ownership is over. Adopted entries are no part of the runs in flight any more: their slots may be adopted anew
    /// before those end. Own slots are not free before. Each may land for `life_ns` since its issue.
    pub(crate) fn disown_runs(&mut self, life_ns: u64) {
        let lands = |run: &super::runs::Run| run.issued_ns.saturating_add(life_ns);
        if let Some(until_ns) = self.runs.active().map(lands).max() {
            self.doubts.lasts(until_ns);
        }
        for index in 0..super::RUNS_MAX {
            let mut entry = self.runs.at_mut(index).map_or(NONE, |run| run.first);
            let (mut first, mut last) = (NONE, NONE);
            while entry != NONE {
                let next = self.at(entry).ready_next;
                self.at_mut(entry).ready_next = NONE;
                if self.is_adopted(entry) {
                    self.finish(entry, false, |_| ());
                } else if last == NONE {
                    (first, last) = (entry, entry);
                } else {
                    self.at_mut(last).ready_next = entry;
                    last = entry;
                }
                entry = next;
            }
            if let Some(run) = self.runs.at_mut(index) {
                run.first = first;
            }
        }
    }

    /// Whether something is on its way to the disk that no region was proved to have.
    pub(crate) fn destages_unproved(&self) -> bool {
        self.doubts.any_unproved()
            || self.runs.active().any(|run| {
                let mut entry = run.first;
                while entry != NONE {
                    if self.is_live(entry) && self.at(entry).proved == 0 {
                        return true;
                    }
                    entry = self.at(entry).ready_next;
                }
                false
            })
    }

    /// Whether a run is in flight whose entries the log still has. Those of a run from before the last change of the
    /// ownership are gone.
    fn has_run(&self, id: RunId) -> bool {
        self.runs
            .find(id)
            .is_some_and(|run| self.is_live(run.first))
    }
}

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// Whether a run may go to the disk now.
    fn may_destage(&self, now_ns: u64) -> bool {
        now_ns >= self.log.runs.not_before_ns() && self.permit().may_command(now_ns).is_ok()
    }

    /// The next run of at most `max` blocks to write to the backing disk. To be issued at once: the lease was checked
    /// at `now_ns`. `None` if there is nothing, or it may not be now.
    pub fn next_destage(&mut self, now_ns: u64, max: u32) -> Option<DestagePlan> {
        if !self.may_destage(now_ns) {
            return None;
        }
        let max = max.min(BLOCKS_MAX as u32).max(1);
        self.log.begin_run(max, self.config.blocks, now_ns)
    }

    /// Whether somebody waits for the log to get emptier: then the environment does well not to wait for longer runs.
    pub fn destage_is_urgent(&self) -> bool {
        let dirty = self.log.dirty();
        dirty > self.config.dirty_limit / 2
            || self.ownership.is_leaving()
            || self.requests.in_use() > 0
            || !matches!(self.ownership.mode(), Some(Mode::Mirrored))
    }

    /// Whether `next_destage` would give a run.
    pub fn wants_destage(&self, now_ns: u64) -> bool {
        self.log.first_ready().is_some() && self.may_destage(now_ns)
    }

    /// Whether a run may still be issued: to be asked right before that, when everything else is prepared. If not, it is
    /// to be handed back as [`DestageEnd::NotIssued`]. What of it is in adopted slots was found to be what it should be.
    pub fn may_issue(&mut self, run: RunId, now_ns: u64) -> bool {
        let may = self.log.has_run(run) && self.may_destage(now_ns);
        if may {
            self.log.checked_run(run);
            self.log.runs.issued(run, now_ns);
        }
        may
    }

    /// For how long after its issue a command of ours may land, by the own clock.
    pub(crate) fn command_life_ns(&self) -> u64 {
        let agreed = self.ownership.agreed(&self.config, &self.partner);
        self.config.stretch(agreed.io_life_ns())
    }

    /// Blocks whose failed write has landed by now, or never will, may be written again. Whether there are more of them.
    pub(crate) fn settle_doubts(&mut self, now_ns: u64) -> bool {
        self.log.settle_some(now_ns, PIECE);
        let over_ns = self.log.doubt_over_ns();
        over_ns.is_some_and(|over_ns| self.agenda.due(over_ns, now_ns))
    }

    /// A run is over.
    pub fn destage_finish(&mut self, run: RunId, end: DestageEnd, now_ns: u64) {
        let times = (self.command_life_ns(), now_ns);
        let requests = &mut self.requests;
        let each = |ticket| requests.queue(ticket);
        let Some(over) = self.log.end_run(run, end, times, each) else {
            return;
        };
        match end {
            DestageEnd::Written => self.disk_told(true, now_ns),
            DestageEnd::Failed | DestageEnd::Refused => self.disk_told(false, now_ns),
            // The disk was not asked.
            DestageEnd::NotIssued | DestageEnd::Corrupt { .. } => (),
        }
        if let Some(over_ns) = self.log.doubt_over_ns() {
            self.agenda.wake_at(over_ns);
        }
        self.requests.retry_parked();
        // In these modes the next record waits for runs, not for a ticket.
        self.agenda.want_poll(matches!(
            self.ownership.mode(),
            Some(Mode::Holding | Mode::Degraded | Mode::Joining)
        ));
        self.agenda.want_poll(self.ownership.waits_for_commands());
        if self.log.judge_run(end, &over, self.config.poll_ns, now_ns) {
            self.ownership.command_failed();
            self.agenda.wake_at(self.log.runs.not_before_ns());
        }
        self.drain_flushes();
    }
}
