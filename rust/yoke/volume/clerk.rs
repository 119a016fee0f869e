// SPDX-License-Identifier: GPL-2.0

//! The clerk of a volume: one thread that asks the disk about its reservation, as the machine wants it. A disk may take its
//! time to answer, and nothing waits for it.

use super::{ends::Ends, shared::Shared};
use kernel::{prelude::*, sync::Arc};
use yoke_core::{
    disk::Key,
    volume::{Errand, Input, Told},
};
use yoke_sys::{
    backing::{
        reservation::{self, Abort, KeyRoom, Kind, PrError, Reservations},
        BackingDev, Target,
    },
    thread,
};

/// Registrations that are read: one for each path of each controller, and those of other software.
const KEYS: u32 = 128;

/// How somebody is shown who holds the disk without saying who: no controller of any volume has this key.
const NAMELESS: u64 = u64::MAX;

/// What the thread owns.
pub(super) struct Clerk {
    shared: Arc<Shared>,
    dev: Arc<BackingDev<Ends>>,
    room: KeyRoom,
    mine: Key,
    /// The answer of last time, so that each is said once.
    said: Option<PrError>,
    /// The disk's table, as it was found after the last errand.
    table: Option<Table>,
    hope: Hope,
}

/// Whether the disk has reservations at all, which its driver does not know.
enum Hope {
    /// It was never heard to. So often it was not.
    Unheard(u32),
    Heard,
    /// It is not asked any more: sd puts a line in the log each time.
    Lost,
}

/// So often a disk is asked that was never heard to have reservations.
const TRIES: u32 = 4;

/// What the disk's table says.
#[derive(Clone, Copy)]
struct Table {
    /// Whether our key is there.
    mine: bool,
    /// Whether the key that was asked about is not there, for certain.
    gone: bool,
    /// Which controllers have a key there.
    nodes: u64,
    holder: Option<Key>,
}

impl Clerk {
    /// For a disk that has reservations. Errors: `ENOMEM`.
    pub(super) fn new(shared: Arc<Shared>, dev: Arc<BackingDev<Ends>>, mine: Key) -> Result<Self> {
        Ok(Clerk {
            shared,
            dev,
            room: KeyRoom::new(KEYS)?,
            mine,
            said: None,
            table: None,
            hope: Hope::Unheard(0),
        })
    }

    /// Until the thread is asked to stop. A volume that was closed leaves the disk as if it had never been there, where that
    /// does no harm.
    pub(super) fn run(mut self) {
        while !thread::should_stop() {
            let asked = self.shared.inner.lock().asked.take();
            let Some((token, errand)) = asked else {
                self.shared.errands.wait(None);
                continue;
            };
            let told = self.answer(errand);
            self.shared.tell(Input::Reservation { token, told });
        }
        if self
            .shared
            .with(|inner, now| inner.core.may_leave_disk(now))
        {
            self.leave();
        }
    }

    fn answer(&mut self, errand: Errand) -> Option<Told> {
        if matches!(self.hope, Hope::Lost) && !self.shared.inner.lock().refused {
            return None;
        }
        let told = self.carry_out(errand);
        let error = told.as_ref().err().copied();
        self.hope = match (&self.hope, error) {
            (_, None) | (Hope::Heard, _) => Hope::Heard,
            // What a disk says that does not know the commands. Anything else may pass.
            (Hope::Unheard(tries), Some(PrError::Unsupported | PrError::Failed(2))) => {
                self.doubt(*tries + 1)
            }
            (Hope::Unheard(tries), Some(_)) => Hope::Unheard(*tries),
            // It has refused a write: so it has reservations.
            (Hope::Lost, Some(_)) => Hope::Unheard(0),
        };
        told.ok()
    }

    fn doubt(&self, tries: u32) -> Hope {
        if tries < TRIES {
            return Hope::Unheard(tries);
        }
        let name = self.shared.name();
        pr_info!("volume {name}: the backing disk has no reservations; a takeover waits for t_io_ms before it writes\n");
        Hope::Lost
    }

    /// Errors: why the table could not be read afterwards.
    fn carry_out(&mut self, errand: Errand) -> Answer<Told> {
        let dev = self.dev.clone();
        let disk = dev.reservations().ok_or(PrError::Unsupported)?;
        let mine = raw(self.mine)?;
        let before = self.table.take();
        let mut ended = false;
        let answer = match errand {
            Errand::Look => Ok(()),
            Errand::Register => {
                self.shared.inner.lock().refused = false;
                disk.register_ignoring(mine)
            }
            Errand::Reserve => disk.reserve(mine),
            Errand::Release => disk.release(mine),
            Errand::CutOff { victim } if ends_commands(&self.dev.target()) => {
                let held = self.held(&disk, before, victim);
                let answer = disk.preempt_and_abort(mine, raw(victim)?);
                ended = held && answer == Ok(Abort::Yes);
                answer.map(|_| ())
            }
            // Nothing would rest on an abort, and LIO's can take our own connection with it (docs/reservations.md).
            Errand::CutOff { victim } => disk.preempt(mine, raw(victim)?, Abort::No),
        };
        self.say(errand, answer);
        if errand == Errand::Register && answer.is_ok() {
            self.shared.stats.registrations.add(1);
        }
        let victim = match errand {
            Errand::CutOff { victim } => victim,
            _ => self.mine,
        };
        let table = self.look(&disk, victim)?;
        self.table = Some(table);
        Ok(Told {
            // A disk that refuses a write does not know us on every path.
            registered: table.mine && !self.shared.inner.lock().refused,
            holder: table.holder,
            nodes: table.nodes,
            ended: ended && table.gone && table.holder == Some(self.mine),
        })
    }

    /// Whether the victim holds the reservation, and this controller is registered: what the last look said is good enough. Only a
    /// command of this thread makes this controller the holder, and who is preempted hands the reservation on only if it holds
    /// it: that is looked at afterwards.
    fn held(&mut self, disk: &Reservations<'_>, before: Option<Table>, victim: Key) -> bool {
        let before = before.or_else(|| self.look(disk, victim).ok());
        before.is_some_and(|table| table.mine && table.holder == Some(victim))
    }

    /// What the disk says of its table, and whether `other` is not in it.
    fn look(&mut self, disk: &Reservations<'_>, other: Key) -> Answer<Table> {
        let (mine, other) = (raw(self.mine)?, raw(other)?);
        let keys = disk.read_keys(&mut self.room)?;
        let (has_mine, gone) = (
            keys.contains(mine),
            keys.is_complete() && !keys.contains(other),
        );
        let volume = &self.shared.identity.volume;
        let known = keys.iter().filter_map(|key| Key::from_raw(key.get()));
        let nodes = known
            .filter_map(|key| key.node(volume))
            .fold(0, |nodes, node| nodes | 1 << node.get());
        let holder = disk.read_holder()?;
        Ok(Table {
            nodes,
            mine: has_mine,
            gone,
            holder: holder.and_then(key_of),
        })
    }

    fn leave(&mut self) {
        let dev = self.dev.clone();
        let (Some(disk), Ok(mine)) = (dev.reservations(), raw(self.mine)) else {
            return;
        };
        let Ok(table) = self.look(&disk, self.mine) else {
            return;
        };
        if !table.mine {
            return;
        }
        if table.holder == Some(self.mine) {
            let answer = disk.release(mine);
            self.say(Errand::Release, answer);
        }
        // The kernel's NVMe driver has no way to take a key away: it makes it 0, and the host stays registered.
        if !matches!(dev.target(), Target::Nvme { .. }) {
            let answer = disk.unregister(mine);
            self.say(Errand::Release, answer);
        }
    }

    /// For people: what the disk did not do, once.
    fn say(&mut self, errand: Errand, answer: Answer) {
        let error = answer.err();
        if error.is_some() && error != self.said {
            let name = self.shared.name();
            pr_warn!("volume {name}: reservation of the backing disk: {errand:?}: {error:?}\n");
        }
        self.said = error;
    }
}

type Answer<T = ()> = reservation::Answer<T>;

/// Whether preempt-and-abort answers only when no command of a victim that held the reservation can land any more: of which
/// disks that is known, and of which it is not, stands in docs/reservations.md.
pub(super) fn ends_commands(target: &Target) -> bool {
    match target {
        Target::Nvme { inquiry, .. } => inquiry.product() == "Linux",
        // LIO among them: it looks at who held when a command came, and not at those of a connection that is being closed.
        Target::Scsi(_) => false,
        // It preempts and does not abort.
        Target::DeviceMapper => false,
        Target::Other => false,
    }
}

/// Errors: none, since no key is 0.
fn raw(key: Key) -> Answer<reservation::Key> {
    reservation::Key::new(key.get()).ok_or(PrError::Unsupported)
}

/// Whose reservation it is. One that is of another kind than ours is somebody else's, whoever holds it.
fn key_of(holder: reservation::Holder) -> Option<Key> {
    let ours = holder.kind == Kind::WriteExclusiveRegOnly;
    let key = holder.key.filter(|_| ours);
    Key::from_raw(key.map_or(NAMELESS, reservation::Key::get))
}
