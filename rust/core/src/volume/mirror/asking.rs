// SPDX-License-Identifier: GPL-2.0
//! Asking the partner for a region on each link, and its grant (PROTOCOL P6).

use super::Mirror;
use crate::disk::node_block::SHADOW_EPOCHS;
use crate::guards::Guard;
use crate::ids::{Epoch, LinkEpoch, LinkId};
use crate::mirror::message::Message;
use crate::volume::log::entry::Entry;
use crate::volume::log::Slab;
use crate::volume::machine::Volume;
use crate::volume::mirror::regions::{Held, HeldState};
use crate::volume::requests::tickets::Ticket;
use crate::volume::states::HeldEvent;
use crate::volume::status::Reason;
use crate::window::Place;

impl Mirror {
    /// Whether a region that was granted to us, or by us, has this epoch.
    fn has_epoch(&self, epoch: Epoch) -> bool {
        let held = self.held.iter().filter_map(|held| held.epoch);
        let lent = self.lent.iter().filter_map(|lent| lent.epoch);
        held.chain(lent).any(|known| known == epoch)
    }
}

impl<E: Slab<Entry>, B: Slab<u32>, T: Slab<Ticket>> Volume<E, B, T> {
    /// Asks for a region on every link that has none; again where no answer has come.
    pub(crate) fn ask(&mut self, now_ns: u64) {
        if self.partner.life().is_none() || !self.ownership.may_grow() {
            return;
        }
        for link in self.mirror.known_links() {
            let Some(life) = self.mirror.link(link).life else {
                continue;
            };
            let held = self.mirror.held(link);
            if held.state == HeldState::Asked && held.life == Some(life) {
                let again = held.asked_at_ns.saturating_add(self.config.poll_ns);
                if self.agenda.due(again, now_ns) {
                    self.send_question(link, life, now_ns);
                }
                continue;
            }
            if held.state != HeldState::None {
                continue;
            }
            let old_posts = held.life == Some(life) && !held.drained;
            let late = old_posts && self.guards.on(Guard::GrantAfterHandshake);
            let others = self.mirror.held.iter();
            let used = others.filter(|held| held.state != HeldState::None).count();
            if late || used >= SHADOW_EPOCHS {
                continue;
            }
            self.mirror.questions = self.mirror.questions.wrapping_add(1);
            let number = self.mirror.questions;
            self.mirror.edit_held(link, |held| {
                *held = Held {
                    life: Some(life),
                    number,
                    // Nothing is posted before the grant: if none comes, it can be asked again on this life.
                    drained: true,
                    ..Held::NONE
                };
                held.on(HeldEvent::Ask);
            });
            self.send_question(link, life, now_ns);
        }
    }

    /// The same question may be sent more than once: its number tells.
    fn send_question(&mut self, link: LinkId, life: LinkEpoch, now_ns: u64) {
        let question = Message::Ask {
            life,
            generation: self.ownership.generation(),
            number: self.mirror.held(link).number,
            slots: self.config.slots,
        };
        self.partner.send(question);
        self.mirror
            .edit_held(link, |held| held.asked_at_ns = now_ns);
        self.agenda
            .wake_at(now_ns.saturating_add(self.config.poll_ns));
    }

    /// The partner has granted a region.
    pub(crate) fn grant(&mut self, life: LinkEpoch, number: u64, epoch: Epoch, place: Place) {
        let asked = |link: &LinkId| {
            let held = self.mirror.held(*link);
            held.state == HeldState::Asked
                && held.life == Some(life)
                && held.number == number
                && self.mirror.link(*link).life == Some(life)
        };
        let Some(link) = self.mirror.known_links().find(asked) else {
            return self.decline(epoch);
        };
        // From here on it is not asked again on this life, unless the region is closed in order.
        self.mirror.edit_held(link, |held| held.drained = false);
        if self.guards.on(Guard::FreshEpoch) && self.mirror.has_epoch(epoch) {
            // The record could not tell the two apart.
            self.ownership.say(Reason::EpochTwice);
            return self.lose_region(link);
        }
        if place.slots < self.config.slots {
            self.lose_region(link);
            // It was asked for, so losing it says nothing of it.
            return self.decline(epoch);
        }
        self.mirror.edit_held(link, |held| {
            held.on(HeldEvent::Granted);
            held.epoch = Some(epoch);
            held.place = Some(place);
        });
    }

    /// A grant that nobody asks for any more: the partner need not keep what it granted. A second copy of one that was taken
    /// says nothing, nor one that a record names; and of a grant that is made meanwhile nothing is said: that one has another
    /// epoch.
    fn decline(&mut self, epoch: Epoch) {
        let fresh = self.guards.on(Guard::FreshEpoch);
        if fresh && !self.mirror.has_epoch(epoch) && !self.ownership.may_be_named(epoch) {
            self.partner.send(Message::Retire { epoch });
        }
    }
}
