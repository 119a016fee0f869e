// SPDX-License-Identifier: GPL-2.0

//! What a volume is made of, from what was configured: its machine, and what its threads share.

use super::{
    face::Stats,
    probe::{say, Found},
    shared::{Inner, Machine, Shared, TICKETS},
};
use crate::link::Identity as Controller;
use core::mem::MaybeUninit;
use kernel::{
    new_mutex, new_spinlock_irq,
    prelude::*,
    str::{CStr, CString},
    sync::Arc,
};
use yoke_core::{
    disk::Identity,
    guards::Guards,
    ids::NodeId,
    volume::log::entry::Entry,
    volume::{self, buckets_for, Config, PowerLoss, Ticket, NEVER_NS},
};
use yoke_sys::{disk::Params, event::Event, pages::Pages, random_u64, time::boottime_ns};

/// What was configured (docs/abi.md). Times are in nanoseconds.
pub(crate) struct Settings {
    pub(crate) device: CString,
    pub(crate) home: NodeId,
    pub(crate) slots: u32,
    pub(crate) io_life_ns: u64,
    /// How much longer than `io_life_ns` an I/O may wait.
    pub(crate) patience_ns: u64,
    pub(crate) link_lease_ns: u64,
    pub(crate) disk_lease_ns: u64,
    /// How long the disk of an owner may do nothing before its partner is to take over; 0: it keeps the volume.
    pub(crate) handover_ns: u64,
    pub(crate) start_from_disk: bool,
    /// Who opens the disk keeps nothing of what it reads: a target's export.
    pub(crate) stateless: bool,
}

impl Settings {
    /// How long an I/O may wait, in nanoseconds.
    pub(super) fn bound_ns(&self) -> u64 {
        self.io_life_ns.saturating_add(self.patience_ns)
    }
}

/// The machine's settings.
pub(super) fn config(settings: &Settings, controller: Controller, found: &Found) -> Config {
    Config {
        volume: found.identity.volume,
        node: controller.node,
        incarnation: controller.incarnation,
        partner: controller.partner(),
        blocks: found.data_blocks,
        slots: settings.slots,
        dirty_limit: settings.slots,
        link_lease_ns: settings.link_lease_ns,
        disk_lease_ns: settings.disk_lease_ns,
        io_life_ns: settings.io_life_ns,
        drift_ppm: 1000,
        poll_ns: settings.disk_lease_ns / 8,
        backoff_ns: settings.disk_lease_ns / 4,
        giveback_ns: settings.disk_lease_ns.saturating_mul(10),
        handover_ns: match settings.handover_ns {
            0 => NEVER_NS,
            after_ns => after_ns,
        },
        // Whatever the disk says now: a cache may be turned on later, and whoever goes by what was once read then flushes
        // nothing (docs/limits.md). A flush that the disk does not need ends in the block layer.
        volatile_cache: true,
        reservations: found.reserves,
        power_loss: if settings.start_from_disk {
            PowerLoss::StartFromDisk
        } else {
            PowerLoss::Refuse
        },
        auto_takeover: true,
        waits_in_doubt: !settings.stateless,
        home: settings.home == controller.node,
        seed: random_u64(),
    }
}

/// The machine in its memory. It is some KiB long: not inlined, so that it stands on the stack only while it is made.
#[inline(never)]
pub(super) fn machine(name: &CStr, slots: usize, config: Config) -> Result<KBox<Machine>> {
    let count = slots.saturating_mul(2);
    // Before there is a machine on the stack: what the allocator needs of it is not known.
    let place = KBox::<Machine>::new_uninit(GFP_KERNEL)?;
    let entries = KVVec::from_elem(Entry::EMPTY, count, GFP_KERNEL)?;
    let buckets = KVVec::from_elem(0, buckets_for(config.slots), GFP_KERNEL)?;
    let tickets = KVVec::from_elem(Ticket::EMPTY, TICKETS, GFP_KERNEL)?;
    Machine::check(&config, &entries, &buckets, &tickets).map_err(|why| {
        say(name, format_args!("{why}"));
        EINVAL
    })?;
    Ok(fill(place, config, entries, buckets, tickets))
}

/// Makes a machine in its place. On its own, since a machine takes kilobytes: each move of one, in a function that goes
/// on to do something else, would be there for all of that.
#[inline(never)]
fn fill(
    place: KBox<MaybeUninit<Machine>>,
    config: Config,
    entries: KVVec<Entry>,
    buckets: KVVec<u32>,
    tickets: KVVec<Ticket>,
) -> KBox<Machine> {
    let now = boottime_ns();
    KBox::write(
        place,
        Machine::make(config, Guards::ALL, entries, buckets, tickets, now),
    )
}

/// The machine with everything that is shared.
#[inline(never)]
pub(super) fn share(
    name: &CStr,
    settings: &Settings,
    identity: Identity,
    core: KBox<Machine>,
) -> Result<Arc<Shared>> {
    let inner = Inner::new(core, settings.bound_ns(), settings.stateless)?;
    let wake = Arc::pin_init(Event::new(), GFP_KERNEL)?;
    let work = Arc::pin_init(Event::new(), GFP_KERNEL)?;
    let attend = Arc::pin_init(Event::new(), GFP_KERNEL)?;
    let errands = Arc::pin_init(Event::new(), GFP_KERNEL)?;
    let log = Arc::new(Pages::new(settings.slots)?, GFP_KERNEL)?;
    let (name, device) = (
        CString::try_from(name)?,
        CString::try_from(&*settings.device)?,
    );
    Arc::pin_init(
        pin_init!(Shared {
            name,
            device,
            identity,
            inner <- new_spinlock_irq!(inner),
            wake,
            work,
            attend,
            errands,
            silence_ns: settings.patience_ns / 8,
            disk <- new_mutex!(None),
            log,
            stats: Stats::new(),
        }),
        GFP_KERNEL,
    )
}

/// What `/dev/yokeN` is like.
pub(super) fn params(found: &Found) -> Params {
    Params {
        max_io_blocks: volume::BLOCKS_MAX as u32,
        discard_blocks: found.limits.discard_blocks,
        write_zeroes_blocks: found.limits.write_zeroes_blocks,
        below: Some(found.limits.below),
        ..Params::new(found.data_blocks)
    }
}
