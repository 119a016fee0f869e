// SPDX-License-Identifier: GPL-2.0
//! The disk's reservation, as a target keeps it.

use yoke_core::disk::Key;
use yoke_core::volume::*;

use super::{Appliance, VOLUME};

/// What a target knows, and how it behaves.
#[derive(Default)]
pub struct Target {
    pub keys: Vec<Key>,
    pub holder: Option<Key>,
    /// It is known to end a victim's commands before it answers.
    pub ends: bool,
    /// It answers nothing: what was asked for stays here.
    pub silent: bool,
    pub asked: Vec<(usize, Token, Errand)>,
    /// Registrations fail, and are not done.
    pub refuses: bool,
    /// So many preemptions fail, and are not done.
    pub loses_cuts: u32,
    /// What was asked for, in order.
    pub log: Vec<(usize, Errand)>,
}

impl Appliance {
    pub fn key(&self, n: usize) -> Key {
        let node = self.nodes[n].as_ref().unwrap();
        Key::of(&VOLUME, node.volume.config().node, node.incarnation)
    }

    /// Whether the disk takes a write of this controller.
    pub fn takes(&self, n: usize) -> bool {
        let registered = |node: &super::Controller| {
            let key = Key::of(&VOLUME, node.volume.config().node, node.incarnation);
            self.target.keys.contains(&key)
        };
        self.target.holder.is_none() || self.nodes[n].as_ref().is_some_and(registered)
    }

    pub(super) fn reserve(&mut self, n: usize, token: Token, errand: Errand) {
        self.target.log.push((n, errand));
        if self.target.silent {
            self.target.asked.push((n, token, errand));
        } else {
            self.do_errand(n, token, errand);
        }
    }

    /// The target answers what it was asked.
    pub fn target_answers(&mut self) {
        self.target.silent = false;
        for (n, token, errand) in std::mem::take(&mut self.target.asked) {
            self.do_errand(n, token, errand);
        }
    }

    /// The target answers what it was asked first, and goes on answering nothing.
    pub fn target_answers_one(&mut self) {
        let (n, token, errand) = self.target.asked.remove(0);
        self.do_errand(n, token, errand);
    }

    /// The target was started again, and has forgotten everything.
    pub fn target_forgets(&mut self) {
        self.target.keys.clear();
        self.target.holder = None;
    }

    fn do_errand(&mut self, n: usize, token: Token, errand: Errand) {
        let mine = self.key(n);
        let node = mine.node(&VOLUME);
        let target = &mut self.target;
        let registered = target.keys.contains(&mine);
        let mut ended = false;
        let lost = matches!(errand, Errand::CutOff { .. }) && target.loses_cuts > 0;
        target.loses_cuts -= u32::from(lost);
        match errand {
            _ if lost => (),
            Errand::Register if !target.refuses => {
                target.keys.retain(|key| key.node(&VOLUME) != node);
                target.keys.push(mine);
            }
            Errand::Reserve if registered && target.holder.is_none() => target.holder = Some(mine),
            Errand::Release if target.holder == Some(mine) => target.holder = None,
            Errand::CutOff { victim } if registered && target.keys.contains(&victim) => {
                assert_ne!(victim, mine);
                ended = target.ends && target.holder == Some(victim);
                target.keys.retain(|key| *key != victim);
                if target.holder.is_none_or(|holder| holder == victim) {
                    target.holder = Some(mine);
                }
            }
            _ => (),
        }
        let told = Told {
            registered: target.keys.contains(&mine),
            holder: target.holder,
            nodes: target
                .keys
                .iter()
                .filter_map(|key| key.node(&VOLUME))
                .fold(0, |nodes, node| nodes | 1 << node.get()),
            ended,
        };
        let told = Some(told);
        self.tell(n, Input::Reservation { token, told });
    }
}
