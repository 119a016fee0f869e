// SPDX-License-Identifier: GPL-2.0

//! What people are told of a volume without asking: changes of its state, by the kernel log and uevents (docs/abi.md).

use super::shared::Shared;
use core::fmt::Display;
use kernel::{prelude::*, str::CString, sync::atomic::Relaxed};
use yoke_core::{
    allowance::Allowance,
    volume::{Mode, Reason, Role, Status},
};
use yoke_sys::{time::boottime_ns, trace, Env};

/// How many changes of a volume's state the kernel log has at most, in which time.
const LINES: u32 = 20;
const EACH_NS: u64 = 10_000_000_000;

/// How many lines the states of one volume may make.
pub(super) const fn lines() -> Allowance {
    Allowance::new(LINES, EACH_NS)
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

pub(super) fn index(role: Role) -> u32 {
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

pub(super) fn word(at: u32) -> &'static str {
    WORDS.get(at as usize).copied().unwrap_or("closed")
}

/// Why it is not mirrored, or why the last command was refused.
pub(super) fn why(status: &Status) -> Option<Reason> {
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

impl Shared {
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
    /// for the next device where there is none. How often the state changes is up to the peer, too: `lines` says how many
    /// lines that may make. Context: the keeper.
    pub(super) fn tell_people(&self, lines: &mut Allowance) {
        loop {
            let next = self.inner.lock().news.next_to_log();
            let Some((old, new)) = next else { break };
            let (name, old, new) = (self.name(), word(old), word(new));
            if old == new {
                continue;
            }
            match lines.take(boottime_ns()) {
                Some(0) => pr_info!("volume {name}: {old} -> {new}\n"),
                Some(missed) => pr_info!(
                    "volume {name}: {old} -> {new} ({missed} changes before it were left out here)\n"
                ),
                None => (),
            }
        }
        while self.disk.lock().is_some() {
            let change = self.inner.lock().news.pop();
            let Some(change) = change else { return };
            // Without memory for it, nobody hears of it; sysfs has it all the same.
            let _ = self.uevent(change);
        }
    }
}
