// SPDX-License-Identifier: GPL-2.0
//! An owner that joins, stopped at one of its actions.

use super::appliance::{Appliance, MS};
use yoke_core::disk::node_block::RecordState;
use yoke_core::volume::*;

/// A record that names a holder.
pub fn names_a_holder(action: &Action) -> bool {
    matches!(action, Action::WriteNodeBlock { block, .. } if matches!(block.record.state, RecordState::Shadow(_)))
}

/// Node 0 is an owner that joins; the first of the actions of this node that is one of these, which has not been done.
pub fn joining_until(
    tune: fn(&mut Config),
    node: usize,
    wanted: fn(&Action) -> bool,
) -> (Appliance, Action) {
    let mut a = Appliance::new(1, tune);
    a.until("node 0 owns the volume", |a| {
        a.role(0) == Role::Owner(Mode::Solo)
    });
    a.write(0, 1, 10);
    a.mend_quiet(0);
    for _ in 0..10_000 {
        let now = a.now;
        match a.node(node).volume.poll_action(now) {
            Some(action) if wanted(&action) => return (a, action),
            Some(action) => a.act(node, action),
            None if a.step(1 - node) => (),
            None => a.now += MS,
        }
    }
    panic!("no such action");
}
