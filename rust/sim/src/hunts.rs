// SPDX-License-Identifier: GPL-2.0
//! Where each rule is needed: for every guard the scenario, and the seeds of it, among which leaving the guard out shows
//! within seconds. With the guard in force the very same runs are clean. Where a rule stands behind another, its scenario
//! leaves the other one out, in both halves of the search (`catalogue::directed`).

use std::time::Duration;

use yoke_core::guards::Guard;

use crate::campaign::{campaign, never_enough, Outcome, Span};
use crate::catalogue::{named, without, Draw};
use crate::check::Kind;
use crate::run::{run, Verdict};

/// A search for what a guard is there for.
#[derive(Clone, Copy, Debug)]
pub struct Hunt {
    /// The guard.
    pub guard: Guard,
    /// The scenario, by name.
    pub scenario: &'static str,
    /// How many seeds, from 0 on: several times as many as are needed.
    pub seeds: u64,
    /// What goes wrong without it: the first of these is what is looked for, the others may come with it. Anything else
    /// is a fault of its own, and a panic always is.
    pub shows: &'static [Kind],
}

const fn hunt(guard: Guard, scenario: &'static str, seeds: u64, shows: &'static [Kind]) -> Hunt {
    Hunt {
        guard,
        scenario,
        seeds,
        shows,
    }
}

const LOST: &[Kind] = &[Kind::Lost];
const TORN: &[Kind] = &[Kind::Torn, Kind::Lost];
const OWNERS: &[Kind] = &[Kind::TwoOwners];
/// Requests that wait for ever, or nobody who serves.
const USELESS: &[Kind] = &[Kind::Stuck, Kind::Refused, Kind::Lost];

/// The hunts. docs/simulation.md says what goes wrong in each.
pub const HUNTS: &[Hunt] = &[
    hunt(Guard::OwnBlock, "mixed", 10, &[Kind::ForeignBlock]),
    hunt(Guard::ShadowBeforeAck, "rejoin", 50, LOST),
    hunt(Guard::DiskBeforeThrough, "mixed", 50, USELESS),
    hunt(Guard::PositiveRecord, "flappy", 150, LOST),
    hunt(Guard::QuietWhileRecording, "hasty", 100, LOST),
    hunt(Guard::FreshEpoch, "reused", 50, LOST),
    hunt(Guard::FenceValue, "mixed", 300, OWNERS),
    hunt(Guard::LinkLived, "lost-post", 50, LOST),
    hunt(Guard::RenewByRead, "asleep", 600, OWNERS),
    hunt(Guard::LeaseAfterRead, "sluggish", 400, OWNERS),
    hunt(Guard::LeaseAfterWrite, "sluggish", 800, OWNERS),
    hunt(Guard::LeaseAfterFlush, "asleep", 1000, OWNERS),
    hunt(Guard::LeaseForIo, "asleep", 200, OWNERS),
    hunt(Guard::ReadAcknowledged, "flappy", 100, TORN),
    hunt(
        Guard::DestageOrder,
        "mixed",
        400,
        &[Kind::Lost, Kind::Disorder],
    ),
    hunt(Guard::DestageProved, "unproved", 300, LOST),
    hunt(Guard::FlushBeforeFree, "enclosed", 100, LOST),
    hunt(Guard::FreeOrder, "freed-in-two", 50, LOST),
    hunt(Guard::FreeProved, "freed-in-two", 100, LOST),
    hunt(Guard::CopyBeforeRetire, "narrowed", 600, LOST),
    hunt(Guard::CopyDestaged, "two-regions", 50, LOST),
    hunt(Guard::CopyOrder, "half-copied", 50, LOST),
    hunt(Guard::NeverScanRetired, "retired", 50, LOST),
    hunt(Guard::GrantAfterHandshake, "late-post", 400, LOST),
    hunt(Guard::ClearBeforeGrant, "leftover", 50, LOST),
    hunt(Guard::OnlyHolder, "flappy", 150, LOST),
    hunt(Guard::VoidBeforeClaim, "asleep", 200, OWNERS),
    hunt(Guard::WaitLinkLease, "asleep", 1000, OWNERS),
    hunt(Guard::WatchDiskLease, "asleep", 200, OWNERS),
    // Two owners that nobody asks for anything have not acted: they are stuck with each other.
    hunt(
        Guard::ConfirmClaim,
        "apart",
        400,
        &[Kind::TwoOwners, Kind::Lost, Kind::Stuck],
    ),
    hunt(Guard::ScanChecks, "header-first", 50, TORN),
    hunt(Guard::CheckBeforeDrop, "newer-torn", 50, LOST),
    hunt(Guard::OldCommands, "apart", 150, OWNERS),
    hunt(Guard::HoldWhileAlone, "asleep", 300, OWNERS),
    hunt(Guard::DestageBeforeDisk, "flappy", 400, LOST),
    hunt(
        Guard::ReadAfterDisk,
        "mixed",
        200,
        &[Kind::TwoOwners, Kind::Stuck, Kind::Refused],
    ),
    hunt(
        Guard::DegradedRecord,
        "mixed",
        400,
        &[Kind::Lost, Kind::Stuck, Kind::Refused],
    ),
    hunt(Guard::KeepShadow, "mixed", 1000, USELESS),
    hunt(Guard::JoinCopies, "mixed", 50, USELESS),
    hunt(Guard::JoinFence, "rejoin", 200, LOST),
    hunt(Guard::ReadAfterShadow, "late-shadow", 50, OWNERS),
    hunt(Guard::JoinBoth, "rejoin", 50, LOST),
    hunt(Guard::FlushDestages, "flappy", 1000, LOST),
    hunt(Guard::PassAfterFree, "mixed", 150, LOST),
    hunt(Guard::TombstoneFirst, "passed-down", 50, LOST),
    hunt(Guard::BothDead, "orphaned", 50, LOST),
    hunt(Guard::ReleaseAfterCommands, "laundered", 50, OWNERS),
    hunt(Guard::RegisterWhenQuiet, "reserved", 2000, OWNERS),
    hunt(Guard::KeepReservation, "reserved", 1200, OWNERS),
];

/// The hunt of a guard.
pub fn of(guard: Guard) -> Option<&'static Hunt> {
    HUNTS.iter().find(|hunt| hunt.guard == guard)
}

impl Hunt {
    /// Runs the seeds with the guard, until the first violation.
    pub fn clean(&self) -> Outcome {
        self.campaign(true, 1, true)
    }

    /// Runs seeds without the guard until one shows what is looked for. The runs that failed until then; the last of
    /// them is that one, if there is one.
    pub fn search(&self) -> Vec<Verdict> {
        let draw = self.draw();
        let mut failed = Vec::new();
        for seed in 0..self.seeds {
            let verdict = run(&without(draw(seed), Some(self.guard)), seed, false);
            let kind = verdict.violation.as_ref().map(|v| v.kind);
            failed.extend(kind.is_some().then_some(verdict));
            if kind.is_some() && kind == self.shows.first().copied() {
                break;
            }
        }
        failed
    }

    /// Runs all of the seeds, with the guard or without it.
    pub fn count(&self, on: bool) -> Outcome {
        self.campaign(on, 1, false)
    }

    fn draw(&self) -> Draw {
        match named(self.scenario) {
            Some(draw) => draw,
            None => panic!("there is no scenario {}", self.scenario),
        }
    }

    fn campaign(&self, on: bool, threads: u64, stop: bool) -> Outcome {
        let draw = self.draw();
        let span = Span {
            from: 0,
            seeds: self.seeds,
            threads,
            limit: Duration::from_secs(120),
            stop,
            enough: never_enough,
        };
        let off = (!on).then_some(self.guard);
        campaign(|seed| without(draw(seed), off), span, |_, _| ())
    }
}
