// SPDX-License-Identifier: GPL-2.0

//! What sysfs shows of a volume: `/sys/block/yokeN/yoke/` (docs/abi.md). What people are told unasked: `news`.

mod reservation;

use super::{
    front::Front,
    news::{index, why, word},
    shared::Shared,
};
use crate::counter::Counter;
use core::fmt::Display;
use kernel::{
    prelude::*,
    sync::atomic::{Atomic, Relaxed},
};
use yoke_core::{
    openers::Fate,
    volume::{Mode, Reason, Role, Status},
};
use yoke_sys::{
    attr::{Attr, Text},
    time::boottime_ns,
};

/// What is counted, and the times of the last takeover in nanoseconds since boot.
pub(crate) struct Stats {
    pub(crate) writes: Counter,
    pub(crate) reads: Counter,
    pub(crate) fences: Counter,
    pub(crate) destaged: Counter,
    /// Blocks of the log that were posted to a region after their own write: for a rejoin, or because a link died.
    pub(crate) copied: Counter,
    pub(crate) io_errors: Counter,
    /// How often this controller was registered for the disk's reservation: more than once where the disk lost that.
    pub(crate) registrations: Counter,
    pub(super) detected: Atomic<u64>,
    pub(super) claimed: Atomic<u64>,
    pub(super) serving: Atomic<u64>,
    /// The last word that was announced, as an index into the words of `news`.
    pub(super) told: Atomic<u32>,
    logged: Atomic<u64>,
}

impl Stats {
    pub(super) const fn new() -> Self {
        Stats {
            writes: Counter::new(),
            reads: Counter::new(),
            fences: Counter::new(),
            destaged: Counter::new(),
            copied: Counter::new(),
            io_errors: Counter::new(),
            registrations: Counter::new(),
            detected: Atomic::new(0),
            claimed: Atomic::new(0),
            serving: Atomic::new(0),
            told: Atomic::new(0),
            logged: Atomic::new(0),
        }
    }

    /// Whether a line may go to the log now: one a second.
    pub(super) fn may_log(&self) -> bool {
        let now = boottime_ns();
        let last = self.logged.load(Relaxed);
        let may = last == 0 || now.saturating_sub(last) > 1_000_000_000;
        if may {
            self.logged.store(now, Relaxed);
        }
        may
    }
}

impl Shared {
    pub(super) fn status(&self) -> Status {
        self.inner.lock().core.status(boottime_ns())
    }

    /// Wakes the keeper if there is something for it, and notes until when this controller was no owner, and the moment at
    /// which a takeover begins to serve. Context: the control thread, in each of its rounds: no takeover is done in one.
    pub(super) fn refresh(&self) {
        let mut inner = self.inner.lock();
        if !inner.core.is_owner() {
            inner.not_owner_ns = boottime_ns();
        }
        let attend = inner.fate() != Fate::Live || inner.spoilt;
        drop(inner);
        if attend {
            self.attend.set();
        }
        let claimed = self.stats.claimed.load(Relaxed);
        if claimed != 0 && self.stats.serving.load(Relaxed) == 0 && self.status().serving.is_ok() {
            self.stats.serving.store(boottime_ns(), Relaxed);
        }
    }
}

fn sentence(text: &mut Text<'_>, reason: Option<&dyn Display>) -> Result {
    match reason {
        Some(reason) => text.put(format_args!("{reason}\n")),
        None => text.line(""),
    }
}

fn takeover(front: &Front, text: &mut Text<'_>) -> Result {
    match front.shared.status().takeover {
        Ok(()) => text.line("yes"),
        Err(reason) => text.put(format_args!("no: {reason}\n")),
    }
}

/// The most slots that a region can have in the partner's windows, where that is less than the log has.
fn too_few_slots(front: &Front) -> Option<u32> {
    let inner = front.shared.inner.lock();
    let lanes = inner.lanes.iter().flatten();
    let windows = lanes.filter(|lane| lane.life.is_some());
    let most = windows.map(|lane| lane.peer_window.slots_max()).max()?;
    (most < front.shared.log.blocks()).then_some(most)
}

fn reason(front: &Front, text: &mut Text<'_>) -> Result {
    let silent = front.dev.silent_ns() > front.shared.silence_ns;
    let reason = why(&front.shared.status()).or(silent.then_some(Reason::DiskSilent));
    if let (Some(Reason::NoRegion), Some(most)) = (reason, too_few_slots(front)) {
        let slots = front.shared.log.blocks();
        return text.put(format_args!(
            "the volume asks for {slots} slots, and the partner's windows hold {most} at most: open it with fewer at both ends\n"
        ));
    }
    sentence(text, reason.as_ref().map(|reason| reason as &dyn Display))
}

fn role(status: &Status) -> &'static str {
    match status.role {
        Role::Owner(_) => "owner",
        Role::Standby | Role::Taking => "standby",
        _ => "none",
    }
}

fn stats(front: &Front, text: &mut Text<'_>) -> Result {
    let stats = &front.shared.stats;
    for (name, counter) in [
        ("writes", &stats.writes),
        ("reads", &stats.reads),
        ("fences", &stats.fences),
        ("destaged", &stats.destaged),
        ("copied", &stats.copied),
        ("io_errors", &stats.io_errors),
        ("registrations", &stats.registrations),
    ] {
        text.put(format_args!("{name} {}\n", counter.get()))?;
    }
    let (flushes, stalls, waiting, expired) = front.shared.with(|inner, _| {
        let desk = &inner.desk;
        (
            desk.flushes_total(),
            desk.stalls_total(),
            desk.waiting(),
            desk.expired_total(),
        )
    });
    let dropped = front.shared.status().dropped;
    text.put(format_args!(
        "flushes {flushes}\nstalls {stalls}\nwaiting {waiting}\nexpired {expired}\ndropped {dropped}\n"
    ))
}

/// The files of a volume.
pub(super) const ATTRS: &[Attr<Front>] = &[
    Attr::ro(c"name", |front, text| {
        text.put(format_args!("{}\n", front.shared.name()))
    }),
    Attr::ro(c"device", |front, text| {
        text.bytes(front.shared.device.to_bytes())?;
        text.line("")
    }),
    Attr::ro(c"uuid", |front, text| {
        text.put(format_args!("{}\n", front.shared.identity.volume))
    }),
    Attr::ro(c"role", |front, text| {
        text.line(role(&front.shared.status()))
    }),
    Attr::ro(c"state", |front, text| {
        text.line(word(index(front.shared.status().role)))
    }),
    Attr::ro(c"owner", |front, text| match front.shared.status().owner {
        Some(node) => text.put(format_args!("{}\n", node.get())),
        None => text.line("-"),
    }),
    Attr::ro(c"generation", |front, text| {
        text.put(format_args!("{}\n", front.shared.status().generation.get()))
    }),
    Attr::ro(c"mirror", |front, text| {
        let mirrored = front.shared.status().role == Role::Owner(Mode::Mirrored);
        text.line(if mirrored { "yes" } else { "no" })
    }),
    Attr::ro(c"dirty_blocks", |front, text| {
        let status = front.shared.status();
        text.put(format_args!("{}\n", status.dirty))
    }),
    Attr::ro(c"adopted_blocks", |front, text| {
        text.put(format_args!("{}\n", front.shared.status().adopted_total))
    }),
    Attr::ro(c"corrupt_blocks", |front, text| {
        text.put(format_args!("{}\n", front.shared.status().condemned))
    }),
    Attr::ro(c"slots", |front, text| {
        text.put(format_args!("{}\n", front.shared.log.blocks()))
    }),
    Attr::ro(c"slots_free", |front, text| {
        text.put(format_args!("{}\n", front.shared.status().free))
    }),
    Attr::ro(c"stateless", |front, text| {
        let stateless = front.shared.inner.lock().openers.is_stateless();
        text.line(if stateless { "yes" } else { "no" })
    }),
    Attr::ro(c"takeover_possible", takeover),
    Attr::ro(c"reservation", reservation::registration),
    Attr::ro(c"reservation_holder", reservation::holder),
    Attr::ro(c"takeover_writes", reservation::takeover_writes),
    Attr::ro(c"reason", reason),
    Attr::ro(c"last_takeover", |front, text| {
        let stats = &front.shared.stats;
        let us = |time: &Atomic<u64>| time.load(Relaxed) / 1000;
        text.put(format_args!(
            "{} {} {}\n",
            us(&stats.detected),
            us(&stats.claimed),
            us(&stats.serving)
        ))
    }),
    Attr::ro(c"stats", stats),
];
