// SPDX-License-Identifier: GPL-2.0

//! What sysfs shows of a volume: `/sys/block/yokeN/yoke/` (docs/abi.md).

use super::{front::Front, shared::Shared};
use crate::counter::Counter;
use core::fmt::Display;
use kernel::{
    prelude::*,
    str::CString,
    sync::atomic::{Atomic, Relaxed},
};
use yoke_core::{
    openers::Fate,
    volume::{Mode, Reason, Role, Status},
};
use yoke_sys::{
    attr::{Attr, Text},
    time::boottime_ns,
    trace, Env,
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
    detected: Atomic<u64>,
    claimed: Atomic<u64>,
    serving: Atomic<u64>,
    /// The last word that was announced, as an index into [`WORDS`].
    told: Atomic<u32>,
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

/// A change of the state, or of its reason.
#[derive(Clone, Copy)]
pub(crate) struct Change {
    /// Indices into [`WORDS`].
    old: u32,
    new: u32,
    reason: Option<Reason>,
    /// The kernel log has it.
    logged: bool,
}

/// Changes that people have not been told of yet, oldest first.
pub(crate) struct News {
    changes: [Option<Change>; Self::MOST],
}

impl News {
    /// More than that at a time, and the last one tells of all that came after it.
    const MOST: usize = 16;

    pub(super) const fn new() -> Self {
        News {
            changes: [None; Self::MOST],
        }
    }

    fn push(&mut self, change: Change) {
        let last = Self::MOST - 1;
        let at = self.changes.iter().position(Option::is_none);
        if let Some(place) = self.changes.get_mut(at.unwrap_or(last)) {
            let old = place.map_or(change.old, |lost| lost.old);
            *place = Some(Change { old, ..change });
        }
    }

    /// The next change that the kernel log does not have; from now on it has it.
    fn next_to_log(&mut self) -> Option<(u32, u32)> {
        let mut changes = self.changes.iter_mut().flatten();
        let next = changes.find(|change| !change.logged)?;
        next.logged = true;
        Some((next.old, next.new))
    }

    fn pop(&mut self) -> Option<Change> {
        let first = self.changes.first_mut()?.take()?;
        self.changes.rotate_left(1);
        Some(first)
    }
}

/// The words for a role (docs/abi.md).
const WORDS: [&str; 10] = [
    "closed",
    "standby",
    "claiming",
    "mirrored",
    "holding",
    "solo",
    "degraded",
    "rejoining",
    "opening",
    "stopped",
];

fn index(role: Role) -> u32 {
    match role {
        Role::Closed => 0,
        Role::Standby => 1,
        Role::Taking => 2,
        Role::Owner(Mode::Mirrored) => 3,
        Role::Owner(Mode::Holding) => 4,
        Role::Owner(Mode::Solo) => 5,
        Role::Owner(Mode::Degraded) => 6,
        Role::Owner(Mode::Joining) => 7,
        Role::Opening => 8,
        Role::Stopped => 9,
    }
}

fn word(at: u32) -> &'static str {
    WORDS.get(at as usize).copied().unwrap_or("closed")
}

impl Shared {
    fn status(&self) -> Status {
        self.inner.lock().core.status(boottime_ns())
    }

    /// The role has changed: for people, and the times of a takeover. Context: the control thread.
    pub(super) fn announce(&self, role: Role) {
        let now = boottime_ns();
        let (old, new) = (self.stats.told.load(Relaxed), index(role));
        self.stats.told.store(new, Relaxed);
        self.note(old);
        if old == new {
            // The reason has changed.
            return;
        }
        match role {
            Role::Taking => {
                self.stats.detected.store(now, Relaxed);
                self.stats.claimed.store(0, Relaxed);
                self.stats.serving.store(0, Relaxed);
            }
            Role::Owner(_) if old == index(Role::Taking) => self.stats.claimed.store(now, Relaxed),
            _ => {}
        }
        trace::state(self.name(), word(old), word(new), "");
    }

    /// Something is to be told: the state as it is now, and what it was. Context: any.
    pub(super) fn note(&self, old: u32) {
        let mut inner = self.inner.lock();
        let status = inner.core.status(boottime_ns());
        inner.news.push(Change {
            old,
            new: index(status.role),
            reason: why(&status),
            logged: false,
        });
        drop(inner);
        self.attend.set();
    }

    /// There is a device anew: its state is told.
    pub(super) fn note_device(&self) {
        self.note(self.stats.told.load(Relaxed));
    }

    fn uevent(&self, change: Change) -> Result {
        let why = change.reason;
        let reason: &dyn Display = why.as_ref().map_or(&"", |why| why);
        let state = CString::try_from_fmt(fmt!("YOKE_STATE={}", word(change.new)))?;
        let old = CString::try_from_fmt(fmt!("YOKE_OLD={}", word(change.old)))?;
        let name = CString::try_from_fmt(fmt!("YOKE_NAME={}", self.name()))?;
        let reason = CString::try_from_fmt(format_args!("YOKE_REASON={reason}"))?;
        let mut env = Env::new();
        for field in [&state, &old, &name, &reason] {
            env.add(field)?;
        }
        self.disk
            .lock()
            .as_ref()
            .map_or(Ok(()), |disk| disk.uevent(env))
    }

    /// Tells people of changes: by a line in the kernel log, which may take its time to print, and by uevents, which wait
    /// for the next device where there is none. Context: the keeper.
    pub(super) fn tell_people(&self) {
        loop {
            let next = self.inner.lock().news.next_to_log();
            let Some((old, new)) = next else { break };
            if old != new {
                pr_info!("volume {}: {} -> {}\n", self.name(), word(old), word(new));
            }
        }
        while self.disk.lock().is_some() {
            let change = self.inner.lock().news.pop();
            let Some(change) = change else { return };
            // Without memory for it, nobody hears of it; sysfs has it all the same.
            let _ = self.uevent(change);
        }
    }

    /// Wakes the keeper if there is something for it, and notes the moment at which a takeover begins to serve. Context:
    /// the control thread.
    pub(super) fn refresh(&self) {
        let mut inner = self.inner.lock();
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

/// Why it is not mirrored, or why the last command was refused.
fn why(status: &Status) -> Option<Reason> {
    let serving = status.serving.err();
    let takeover = match status.role {
        Role::Owner(Mode::Mirrored) | Role::Standby => None,
        _ => status.takeover.err(),
    };
    let alone = (status.role == Role::Owner(Mode::Solo)).then_some(Reason::NoRegion);
    status
        .reason
        .or(serving.filter(|_| status.role != Role::Standby))
        .or(takeover)
        .or(alone)
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
    text.put(format_args!(
        "flushes {flushes}\nstalls {stalls}\nwaiting {waiting}\nexpired {expired}\n"
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
