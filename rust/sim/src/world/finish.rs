// SPDX-License-Identifier: GPL-2.0
//! Requests that end: what the clients and the checkers are told.

use yoke_core::volume::{Reason, TicketId};

use super::act::zeroes;
use super::World;
use crate::check::history::Request;
use crate::check::owner::Actor;
use crate::check::Kind;
use crate::disk::Block;
use crate::event::{Ask, Event};
use crate::job::{Job, Stage};

impl World {
    fn take_job(&mut self, at: u8, job: u8) -> Option<Job> {
        self.controllers[at as usize]
            .live
            .as_mut()?
            .jobs
            .get_mut(job as usize)?
            .take()
    }

    /// The machine answers a request that waits for it.
    pub(super) fn ticket_done(&mut self, at: u8, ticket: TicketId, reason: Option<Reason>) {
        let waits =
            |job: &Option<Job>| job.as_ref().is_some_and(|j| j.stage == Stage::Wait(ticket));
        let live = self.controllers[at as usize].live.as_ref();
        let Some(job) = live.and_then(|l| l.jobs.iter().position(waits)) else {
            let words = format!("controller {at} answers a request that does not wait");
            self.violated(Kind::Disorder, words);
            return;
        };
        match (reason, self.job(at, job as u8).map(|j| (j.ask, j.written))) {
            (Some(reason), _) => self.failed(at, job as u8, reason),
            (None, Some((Ask::Io(Request::Write { .. }), false))) => self.written(at, job as u8),
            (None, _) => self.answered(at, job as u8, &[]),
        }
    }

    /// A write is safe. One with FUA goes on with a FLUSH.
    pub(super) fn written(&mut self, at: u8, job: u8) {
        let fua = matches!(
            self.job(at, job).map(|j| j.ask),
            Some(Ask::Io(Request::Write { fua: true, .. }))
        );
        if !fua {
            return self.answered(at, job, &[]);
        }
        if let Some(job) = self.job(at, job) {
            job.written = true;
            job.stage = Stage::Flush;
        }
        self.soon(Event::Job { at, job });
    }

    /// A request completes.
    pub(super) fn answered(&mut self, at: u8, job: u8, data: &[Block]) {
        let generation = self.generation(at);
        let Some(job) = self.take_job(at, job) else {
            return;
        };
        let actor = Actor {
            controller: at.into(),
            life: self.controllers[at as usize].life,
        };
        let judgement = self.owner.completes(actor, generation);
        self.judge(judgement);
        self.trace.line(self.now_ns, || {
            let what = if data.is_empty() {
                String::new()
            } else {
                format!(" with {data:?}")
            };
            format!("controller {at} completes #{}{what}", job.op)
        });
        match job.ask {
            Ask::Io(Request::Read { .. }) => self.stats.reads += 1,
            Ask::Io(Request::Write { .. }) => self.stats.writes += 1,
            Ask::Io(Request::Flush) => self.stats.flushes += 1,
            Ask::Pass { .. } => self.stats.passes += 1,
        }
        if let Ask::Pass { op, .. } = job.ask {
            self.history.passed(job.op, |block| zeroes(op, block));
        } else {
            let judgement = self.history.completed(job.op, data);
            self.judge(judgement);
        }
    }

    /// A request is refused before anything was done.
    pub(super) fn refused(&mut self, at: u8, job: u8, reason: Reason) {
        let Some(job) = self.take_job(at, job) else {
            return;
        };
        self.stats.failures += 1;
        self.trace.line(self.now_ns, || {
            format!("controller {at} refuses #{}: {reason}", job.op)
        });
        let judgement = self.history.refused(job.op);
        self.judge(judgement);
    }

    /// A request fails: nobody knows whether it was done.
    pub(super) fn failed(&mut self, at: u8, job: u8, reason: Reason) {
        let Some(job) = self.take_job(at, job) else {
            return;
        };
        self.stats.failures += 1;
        self.trace.line(self.now_ns, || {
            format!("controller {at} fails #{}: {reason}", job.op)
        });
        self.history.unknown(job.op);
    }
}
