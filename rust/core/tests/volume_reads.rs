// SPDX-License-Identifier: GPL-2.0
//! Reads: of the disk, with the log laid over it, and when the right to answer them has gone meanwhile.

#[path = "support/appliance.rs"]
#[allow(dead_code, unreachable_pub)]
mod appliance;

use appliance::{one, Appliance, MS};
use yoke_core::volume::*;

fn mirrored(links: usize) -> Appliance {
    Appliance::mirrored(links, |_| ())
}

/// Begins a read; what the disk has of it at this moment.
fn fetch(a: &mut Appliance, range: Range) -> (ReadPlan, Vec<u64>) {
    let now = a.now;
    let ReadBegin::Plan(plan) = a.node(0).volume.read_begin(range, now) else {
        panic!("no plan");
    };
    let blocks = range.block..range.block + u64::from(range.count);
    let disk = blocks.map(|block| a.disk.get(&block).copied().unwrap_or(0));
    (plan, disk.collect())
}

/// Lays what is in memory over what the disk gave.
fn lay(a: &mut Appliance, plan: &mut ReadPlan, values: &mut [u64]) -> Result<(), ReadEnd> {
    let now = a.now;
    a.node(0).volume.read_lay(plan, now)?;
    for (value, source) in values.iter_mut().zip(plan.sources) {
        if source != Source::Disk {
            *value = a.nodes[0].as_ref().unwrap().get(source, &a.disk, 0);
        }
    }
    Ok(())
}

#[test]
fn a_read_of_the_disk_has_the_log_laid_over_it_in_the_end() {
    let mut a = mirrored(1);
    a.write(0, 1, 10);
    a.write(0, 2, 20);
    a.pass(500 * MS);
    a.hold_destage = true;
    a.write(0, 2, 21);
    let (mut plan, mut values) = fetch(&mut a, Range { block: 0, count: 4 });
    // Written, and even destaged and looked for to be freed, while the disk reads.
    a.write(0, 1, 11);
    a.hold_destage = false;
    a.pass(500 * MS);
    assert_eq!(lay(&mut a, &mut plan, &mut values), Ok(()));
    // What comes after that does not disturb it any more, and what it copies stays.
    a.write(0, 0, 1);
    a.write(0, 1, 12);
    a.pass(500 * MS);
    let now = a.now;
    let end = a.node(0).volume.read_finish(&plan, now);
    assert_eq!((end, values), (ReadEnd::Complete, vec![0, 11, 21, 0]));
    a.pass(500 * MS);
    assert_eq!(a.status(0).free, appliance::SLOTS, "and is let go of");
}

#[test]
fn a_read_of_the_disk_waits_in_the_end_for_a_write_that_is_not_safe() {
    let mut a = mirrored(1);
    let (mut plan, mut values) = fetch(&mut a, one(1));
    let write = a.begin(0, 1, 10).unwrap();
    assert_eq!(lay(&mut a, &mut plan, &mut values), Err(ReadEnd::Park));
    let wakes = a.node(0).wakes;
    assert_eq!(a.finish(0, &write), WriteEnd::Complete);
    a.settle();
    assert_eq!(a.node(0).wakes, wakes + 1);
    // It was handed back: nothing is kept for it.
    a.pass(500 * MS);
    assert_eq!(a.status(0).free, appliance::SLOTS);
}

/// The fence is issued in time and heard of too late, and the read comes in between.
#[test]
fn a_read_that_came_when_the_lease_had_just_run_out_is_begun_again() {
    let mut a = mirrored(1);
    a.write(0, 1, 10);
    a.pass(200 * MS);
    while a.status(0).serving.is_ok() {
        a.now += MS / 10;
    }
    a.now -= MS / 10;
    let fence = loop {
        let now = a.now;
        match a.node(0).volume.poll_action(now) {
            Some(Action::Fence { token, to }) => break (token, a.fence(0, &to)),
            Some(action) => a.act(0, action),
            None => panic!("no fence is due"),
        }
    };
    a.now += MS;
    let now = a.now;
    let begun = a.node(0).volume.read_begin(one(1), now);
    assert_eq!(begun, ReadBegin::Park);
    let (token, sample) = fence;
    a.tell(0, Input::Fenced { token, sample });
    let before = a.node(0).wakes;
    a.settle();
    assert_eq!(a.node(0).wakes, before + 1);
}
