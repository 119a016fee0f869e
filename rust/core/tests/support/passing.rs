// SPDX-License-Identifier: GPL-2.0
//! A discard or write-zeroes under way at node 0.

use yoke_core::volume::*;

use crate::appliance::{one, Appliance, MS};

pub const T_IO: u64 = 500 * MS;
pub const RANGE: LongRange = LongRange { block: 0, count: 8 };

/// An appliance with block 1 on the disk and nothing in the log, and a write-zeroes over it.
pub fn passing(links: usize, op: PassOp) -> (Appliance, TicketId) {
    let mut a = Appliance::mirrored(links, |_| ());
    a.write(0, 1, 10);
    a.until("on the disk", |a| a.disk.contains_key(&1));
    a.hold_passes = true;
    let ticket = begin(&mut a, op, RANGE);
    a.until("in the queue", |a| a.queued.len() == 1);
    (a, ticket)
}

pub fn begin(a: &mut Appliance, op: PassOp, range: LongRange) -> TicketId {
    let now = a.now;
    let LongBegin::Wait(ticket) = a.node(0).volume.pass_down(op, range, now) else {
        panic!("not begun");
    };
    a.settle();
    ticket
}

pub fn answer(a: &mut Appliance, ticket: TicketId) -> Option<Result<(), Reason>> {
    a.node(0).answers.get(&format!("{ticket:?}")).copied()
}

pub fn parks(a: &mut Appliance, n: usize, block: u64) -> bool {
    let now = a.now;
    match a.node(n).volume.write_begin(one(block), now) {
        WriteBegin::Park => true,
        WriteBegin::Plan(plan) => {
            let _ = a.finish(n, &plan);
            false
        }
        WriteBegin::Fail(reason) => panic!("{reason}"),
    }
}
