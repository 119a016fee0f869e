// SPDX-License-Identifier: GPL-2.0
//! Survivors whose slots are looked at.

use yoke_core::volume::*;

use super::appliance::{one, Appliance};

pub const DEGRADED: Role = Role::Owner(Mode::Degraded);
pub const MIRRORED: Role = Role::Owner(Mode::Mirrored);

/// An owner with these writes in its log, mirrored over one link, dead; its partner has not begun to take over.
pub fn dead_owner(writes: &[(u64, u64)]) -> Appliance {
    let mut a = Appliance::mirrored(1, |_| ());
    a.until("mirrored", |a| a.role(0) == MIRRORED);
    a.hold_destage = true;
    for (block, value) in writes {
        a.write(0, *block, *value);
    }
    a.kill(0);
    a
}

pub fn taken(a: &mut Appliance) {
    a.until("taken", |a| a.role(1) == DEGRADED);
}

/// The slot of the own window that has this value is not what its header says.
pub fn spoil(a: &mut Appliance, value: u64) {
    let data = &mut a.node(1).windows[0].data;
    *data.iter_mut().find(|there| **there == value).unwrap() ^= 1 << 40;
}

/// A read of a block that is in an adopted slot.
pub fn plan_of(a: &mut Appliance, block: u64) -> ReadPlan {
    let now = a.now;
    let ReadBegin::Plan(plan) = a.node(1).volume.read_begin(one(block), now) else {
        panic!("not begun");
    };
    assert!(matches!(plan.sources[0], Source::Adopted { .. }));
    plan
}

/// What a read comes to that finds the data of its adopted slot wrong.
pub fn found_bad(a: &mut Appliance, plan: &ReadPlan) -> ReadEnd {
    let now = a.now;
    a.node(1).volume.read_failed(plan, Some(0), now)
}

/// The survivor may write to the disk.
pub fn may_write(a: &mut Appliance) {
    a.until("it may write", |a| {
        let now = a.now;
        a.node(1).volume.wants_destage(now)
    });
}
