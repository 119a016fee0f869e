// SPDX-License-Identifier: GPL-2.0
//! Where each rule is needed: for every guard the scenario, and the seeds of it, among which leaving the guard out shows
//! within seconds. With the guard in force the very same runs are clean. Where a rule stands behind another, its scenario
//! leaves the other one out, in both halves of the search (`catalogue::directed`).

use std::time::Duration;

use yoke_core::guards::Guard;

use crate::campaign::{campaign, Outcome, Span};
use crate::catalogue::{named, without};

/// A search for what a guard is there for.
#[derive(Clone, Copy, Debug)]
pub struct Hunt {
    /// The guard.
    pub guard: Guard,
    /// The scenario, by name.
    pub scenario: &'static str,
    /// How many seeds, from 0 on: several times as many as are needed.
    pub seeds: u64,
}

const fn hunt(guard: Guard, scenario: &'static str, seeds: u64) -> Hunt {
    Hunt {
        guard,
        scenario,
        seeds,
    }
}

/// The hunts. docs/simulation.md says what goes wrong in each.
pub const HUNTS: &[Hunt] = &[
    hunt(Guard::OwnBlock, "mixed", 10),
    hunt(Guard::ShadowBeforeAck, "rejoin", 50),
    hunt(Guard::DiskBeforeThrough, "mixed", 50),
    hunt(Guard::PositiveRecord, "flappy", 150),
    hunt(Guard::QuietWhileRecording, "hasty", 100),
    hunt(Guard::FreshEpoch, "reused", 50),
    hunt(Guard::FenceValue, "mixed", 300),
    hunt(Guard::LinkLived, "lost-post", 50),
    hunt(Guard::RenewByRead, "asleep", 600),
    hunt(Guard::LeaseAfterRead, "sluggish", 400),
    hunt(Guard::LeaseAfterWrite, "sluggish", 800),
    hunt(Guard::LeaseAfterFlush, "asleep", 1000),
    hunt(Guard::LeaseForIo, "asleep", 200),
    hunt(Guard::ReadAcknowledged, "flappy", 100),
    hunt(Guard::DestageOrder, "mixed", 100),
    hunt(Guard::DestageProved, "unproved", 50),
    hunt(Guard::FlushBeforeFree, "enclosed", 100),
    hunt(Guard::FreeOrder, "freed-in-two", 50),
    hunt(Guard::FreeProved, "freed-in-two", 100),
    hunt(Guard::CopyBeforeRetire, "narrowed", 600),
    hunt(Guard::CopyDestaged, "two-regions", 50),
    hunt(Guard::CopyOrder, "half-copied", 50),
    hunt(Guard::NeverScanRetired, "retired", 50),
    hunt(Guard::GrantAfterHandshake, "late-post", 100),
    hunt(Guard::ClearBeforeGrant, "leftover", 50),
    hunt(Guard::OnlyHolder, "flappy", 150),
    hunt(Guard::VoidBeforeClaim, "asleep", 200),
    hunt(Guard::WaitLinkLease, "asleep", 1000),
    hunt(Guard::WatchDiskLease, "asleep", 200),
    hunt(Guard::ConfirmClaim, "apart", 100),
    hunt(Guard::ScanChecks, "header-first", 50),
    hunt(Guard::OldCommands, "apart", 150),
    hunt(Guard::HoldWhileAlone, "asleep", 300),
    hunt(Guard::DestageBeforeDisk, "flappy", 400),
    hunt(Guard::ReadAfterDisk, "mixed", 200),
    hunt(Guard::DegradedRecord, "mixed", 400),
    hunt(Guard::KeepShadow, "mixed", 200),
    hunt(Guard::JoinCopies, "mixed", 50),
    hunt(Guard::JoinFence, "rejoin", 200),
    hunt(Guard::ReadAfterShadow, "late-shadow", 50),
    hunt(Guard::JoinBoth, "rejoin", 50),
    hunt(Guard::FlushDestages, "flappy", 500),
    hunt(Guard::PassAfterFree, "mixed", 150),
    hunt(Guard::TombstoneFirst, "passed-down", 50),
    hunt(Guard::BothDead, "orphaned", 50),
];

/// The hunt of a guard.
pub fn of(guard: Guard) -> Option<&'static Hunt> {
    HUNTS.iter().find(|hunt| hunt.guard == guard)
}

impl Hunt {
    /// Runs the seeds, with the guard or without it, until the first violation.
    pub fn run(&self, on: bool, threads: u64) -> Outcome {
        self.campaign(on, threads, true)
    }

    /// Runs all of the seeds, with the guard or without it.
    pub fn count(&self, on: bool) -> Outcome {
        self.campaign(on, 1, false)
    }

    fn campaign(&self, on: bool, threads: u64, stop: bool) -> Outcome {
        let Some(draw) = named(self.scenario) else {
            panic!("there is no scenario {}", self.scenario);
        };
        let span = Span {
            from: 0,
            seeds: self.seeds,
            threads,
            limit: Duration::from_secs(120),
            stop,
        };
        let off = (!on).then_some(self.guard);
        campaign(|seed| without(draw(seed), off), span, |_, _| ())
    }
}
