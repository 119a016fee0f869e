// SPDX-License-Identifier: GPL-2.0
//! Discards and write-zeroes that the disk fails, refuses, or loses with its cache.
#![allow(missing_docs)]

#[allow(dead_code, unreachable_pub)]
#[path = "support/appliance.rs"]
mod appliance;
#[allow(dead_code, unreachable_pub)]
#[path = "support/passing.rs"]
mod passing;

use appliance::{Appliance, MS};
use passing::{answer, begin, parks, passing, RANGE, T_IO};
use yoke_core::volume::*;

#[test]
fn a_discard_that_failed_is_answered_when_it_cannot_land_any_more() {
    for op in [PassOp::WriteZeroes, PassOp::Discard] {
        let (mut a, ticket) = passing(1, op);
        a.end_pass(0, PassEnd::Failed);
        a.settle();
        a.pass(T_IO - 10 * MS);
        assert_eq!(answer(&mut a, ticket), None, "it may land yet");
        assert!(parks(&mut a, 0, 1));
        a.until("it is over", |a| answer(a, ticket).is_some());
        assert_eq!(answer(&mut a, ticket), Some(Err(Reason::Disk)));
        a.write(0, 1, 11);
        // Nobody brings the tombstone back.
        a.kill(0);
        a.until("it serves", |a| matches!(a.role(1), Role::Owner(_)));
        assert_eq!(a.read(1, 1), 11);
    }
}

#[test]
fn one_that_the_disk_refuses_is_answered_at_once() {
    let (mut a, ticket) = passing(1, PassOp::Discard);
    let before = a.now;
    a.end_pass(0, PassEnd::Refused);
    a.until("it is over", |a| answer(a, ticket).is_some());
    assert_eq!(answer(&mut a, ticket), Some(Err(Reason::Unsupported)));
    assert!(a.now - before < T_IO);
    assert_eq!(a.read(0, 1), 10);
    a.write(0, 1, 11);
}

#[test]
fn zeroes_that_the_disk_refuses_to_write_by_itself_are_written_to_it() {
    let mut a = Appliance::mirrored(1, |config| config.blocks = 10_000);
    a.write(0, 149, 10);
    a.until("on the disk", |a| a.disk.contains_key(&149));
    a.hold_passes = true;
    let range = LongRange {
        block: 0,
        count: 150,
    };
    let ticket = begin(&mut a, PassOp::WriteZeroes, range);
    a.until("in the queue", |a| a.queued.len() == 1);
    let before = a.now;
    a.end_pass(0, PassEnd::Refused);
    a.settle();
    let piece = |block, count| LongRange { block, count };
    for expected in [piece(0, 64), piece(64, 64), piece(128, 22)] {
        assert_eq!(answer(&mut a, ticket), None);
        assert!(parks(&mut a, 0, 149), "its range is blocked");
        assert_eq!(a.queued.len(), 1);
        assert_eq!(a.queued[0].2, expected);
        a.end_pass(0, PassEnd::Done);
        a.settle();
    }
    a.until("it is over", |a| answer(a, ticket).is_some());
    assert_eq!(answer(&mut a, ticket), Some(Ok(())));
    assert!(a.now - before < T_IO);
    assert_eq!(a.disk.get(&149), None);
    assert_eq!(a.read(0, 149), 0);
    a.write(0, 149, 11);
}

#[test]
fn zeroes_that_the_disk_can_neither_write_nor_be_given_fail() {
    let (mut a, ticket) = passing(1, PassOp::WriteZeroes);
    a.end_pass(0, PassEnd::Refused);
    a.until("written", |a| a.queued.len() == 1);
    a.end_pass(0, PassEnd::Refused);
    a.until("it is over", |a| answer(a, ticket).is_some());
    assert_eq!(answer(&mut a, ticket), Some(Err(Reason::Disk)));
}

/// What is done, and in the disk's cache: the flush that is to make it safe is held back.
fn in_the_cache(a: &mut Appliance, op: PassOp, range: LongRange) -> (TicketId, Token) {
    a.hold_passes = true;
    let ticket = begin(a, op, range);
    a.until("in the queue", |a| a.queued.len() == 1);
    (a.hold_disk, a.hold_passes) = (true, false);
    a.end_pass(0, PassEnd::Done);
    a.until("it is flushed", |a| !a.held.is_empty());
    let (0, Action::FlushDisk { token }) = a.held.remove(0) else {
        panic!("no flush");
    };
    (ticket, token)
}

#[test]
fn a_discard_that_was_lost_and_that_the_disk_refuses_now_is_written() {
    let mut a = Appliance::mirrored(1, |_| ());
    let (ticket, token) = in_the_cache(&mut a, PassOp::Discard, RANGE);
    a.disk.insert(1, 10);
    (a.hold_disk, a.hold_passes) = (false, true);
    a.tell(0, Input::DiskFlushed { token, ok: false });
    a.until("once more", |a| a.queued.len() == 1);
    a.hold_passes = false;
    a.end_pass(0, PassEnd::Refused);
    a.until("answered", |a| answer(a, ticket).is_some());
    assert_eq!(answer(&mut a, ticket), Some(Ok(())));
    assert_eq!(a.passed.last(), Some(&(PassOp::WriteZeroes, RANGE)));
    assert_eq!(a.disk.get(&1), None);
}

#[test]
fn what_the_machine_zeroes_once_more_for_nobody_is_as_short_as_a_write() {
    let mut a = Appliance::mirrored(1, |config| config.blocks = 10_000);
    let range = LongRange {
        block: 0,
        count: 100,
    };
    let (ticket, token) = in_the_cache(&mut a, PassOp::WriteZeroes, range);
    assert_eq!(answer(&mut a, ticket), Some(Ok(())));
    // It was in the disk's cache, which is lost.
    a.tell(0, Input::DiskFlushed { token, ok: false });
    a.until("once more", |a| !a.held.is_empty());
    let (_, action) = a.held[0];
    let Action::PassDown { ticket, range, .. } = action else {
        panic!("{action:?}");
    };
    assert_eq!((ticket, range.count), (None, BLOCKS_MAX as u64));
}
