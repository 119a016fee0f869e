// SPDX-License-Identifier: GPL-2.0
//! Tests of which states are one: those that differ only in what cannot matter, and no others.

use std::time::Duration;

use yoke_core::volume::{Action, Role};

use super::{fingerprint, search, Bounds, Model, Outcome};
use crate::check::durable::Durable;
use crate::controller::Loose;
use crate::disk::target::Kind;
use crate::disk::{Cell, Cookie, Disk, Issuer, Place, Verb};

/// Blocks of the disk, and writes that are queued, one to each.
const WRITES: u32 = 3;

fn empty() -> Disk<Cookie> {
    Disk::new(Vec::new(), WRITES as usize, true, Kind::Aborts)
}

/// Queues the write of a block.
fn queue(disk: &mut Disk<Cookie>, block: u32) {
    let issuer = Issuer {
        controller: 0,
        life: 1,
        generation: 1,
    };
    let cells = vec![(Place::Data(block), Cell::Block([block.into(); 2]))];
    let verb = Verb::Write {
        cells,
        preflush: false,
        fua: false,
    };
    disk.submit(issuer, verb, Cookie::Job(block as u8, 0), 0);
}

fn queued(blocks: &[u32]) -> Disk<Cookie> {
    let mut disk = empty();
    blocks.iter().for_each(|block| queue(&mut disk, *block));
    disk
}

#[test]
fn the_order_of_a_queue_and_the_names_in_it_do_not_matter() {
    let one = fingerprint(&queued(&[0, 1, 2]));
    for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        assert_eq!(fingerprint(&queued(&order)), one, "{order:?}");
    }
}

#[test]
fn what_is_queued_and_what_became_of_it_matter() {
    let name = |disk: &Disk<Cookie>, at: usize| disk.queue()[at].id;
    let both = queued(&[0, 1]);
    let mut all = vec![empty(), queued(&[0]), queued(&[1]), both.clone()];
    for at in 0..2 {
        let id = name(&both, at);
        let ends: [fn(&mut Disk<Cookie>, u16); 4] = [
            |disk, id| disk.land(id),
            |disk, id| disk.reject(id),
            |disk, id| disk.disown(id),
            |disk, id| disk.land_part(id, 1),
        ];
        for end in ends {
            let mut disk = both.clone();
            end(&mut disk, id);
            all.push(disk);
        }
    }
    let mut prints: Vec<u64> = all.iter().map(fingerprint).collect();
    prints.sort_unstable();
    prints.dedup();
    assert_eq!(prints.len(), all.len());
}

/// Every order of queueing the writes.
struct Queueing;

impl Model for Queueing {
    type State = Disk<Cookie>;
    type Step = u32;

    fn start(&self) -> Disk<Cookie> {
        empty()
    }

    fn steps(&self, disk: &Disk<Cookie>, steps: &mut Vec<u32>) {
        let is_queued = |block: u32| {
            let cookie = Cookie::Job(block as u8, 0);
            disk.queue().iter().any(|c| c.cookie == cookie)
        };
        steps.extend((0..WRITES).filter(|block| !is_queued(*block)));
    }

    fn take(&self, disk: &mut Disk<Cookie>, block: u32) -> Result<(), String> {
        queue(disk, block);
        Ok(())
    }
}

#[test]
fn a_search_visits_a_queue_once_whatever_its_order() {
    let bounds = Bounds {
        depth: 10,
        states: 1000,
        frontier: 1000,
        time: Duration::from_secs(10),
        threads: 1,
    };
    let report = search(&Queueing, &bounds);
    assert!(matches!(report.outcome, Outcome::Exhausted));
    // A state for each set of writes; 16 beginnings of orders lead to them.
    assert_eq!((report.states, report.steps), (8, 12));
}

#[test]
fn the_order_of_actions_that_have_none_does_not_matter() {
    let (wake, tell) = (Action::Wake, Action::Notify(Role::Standby));
    let print = |actions: &[Action]| fingerprint(&Loose(actions.to_vec()));
    assert_eq!(print(&[wake, tell]), print(&[tell, wake]));
    assert_ne!(print(&[wake, tell]), print(&[wake, wake]));
    assert_ne!(print(&[wake]), print(&[wake, wake]));
}

#[test]
fn of_the_times_of_requests_only_the_order_matters() {
    let two = |pauses: u32, swapped: bool| {
        let mut durable = Durable::new(1);
        for op in 0..pauses {
            durable.flush_begin(100 + op);
            durable.flush_end(100 + op, false);
        }
        let (first, second) = if swapped { (2, 1) } else { (1, 2) };
        durable.write_begin(0, 1, 5, false);
        durable.write_begin(0, 2, 6, false);
        durable.write_end(0, first, true);
        durable.write_end(0, second, true);
        fingerprint(&durable)
    };
    assert_eq!(two(0, false), two(3, false));
    assert_ne!(two(0, false), two(0, true));
}
