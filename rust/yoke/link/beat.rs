// SPDX-License-Identifier: GPL-2.0

//! The thread of heartbeats: it drives the session, and waits for nobody (see [`super`]).

use super::{
    news::News,
    shared::{Shared, DEEDS, EVENTS},
    Hold,
};
use yoke_core::{ids::LinkId, wire::message::MESSAGE_MAX};
use yoke_sys::{
    thread::{self, NoIo},
    time::boottime_ns,
};

/// How long the thread sleeps when nothing is due.
const IDLE_NS: u64 = 1_000_000_000;
/// Messages that one link may deliver before the others have their turn.
const BATCH: u32 = 64;

impl Shared {
    /// Until the thread is asked to stop.
    pub(super) fn beat(&self) {
        // Above the volumes' threads: one that destages would silence the heartbeats of a machine with one CPU.
        thread::set_urgent();
        let _no_io = NoIo::enter();
        while !thread::should_stop() {
            let deadline = self.round();
            self.wake.wait(Some(deadline));
        }
        self.close();
    }

    /// Does all that is due; when to look again.
    fn round(&self) -> u64 {
        for id in LinkId::all() {
            self.poll(id);
            for _ in 0..BATCH {
                if !self.receive(id) {
                    break;
                }
            }
        }
        let now = boottime_ns();
        let idle = now.saturating_add(IDLE_NS);
        self.drive(DEEDS, |inner| {
            inner.session.tick(now);
            inner.session.next_deadline(now).min(idle)
        })
        .unwrap_or(idle)
    }

    /// Does what is due on one link.
    fn poll(&self, id: LinkId) {
        self.drive(DEEDS, |inner| {
            // A session that is closed takes no links, and polls none.
            if inner.join(id).is_err() {
                return;
            }
            let Some((session, hold)) = inner.with_hold(id) else {
                return;
            };
            let gone = hold.lost_memory().then(|| hold.clone());
            let carrier = hold.carrier();
            session.poll(id, boottime_ns(), carrier, &hold.own(), &hold.peers());
            inner.collect();
            if let Some(hold) = gone {
                inner.tell(News::WindowGone(hold));
            }
        });
    }

    /// Tells the clients if what stood in the own window of this port is gone, whether its link is enabled or not. Where
    /// they are behind this is not the time for it: the chores are rung when they go on.
    pub(super) fn look_at_window(&self, hold: &Hold) {
        self.drive(DEEDS, |inner| {
            if hold.lost_memory() {
                inner.tell(News::WindowGone(hold.clone()));
            }
        });
    }

    /// Receives one message over a link; `false` if there was none, or no room for it: then it waits in the ring, and the
    /// peer does.
    fn receive(&self, id: LinkId) -> bool {
        let received = self.drive(DEEDS + EVENTS, |inner| {
            let (session, hold) = inner.with_hold(id)?;
            let mut bytes = [0; MESSAGE_MAX];
            let (own, peers) = (hold.own(), hold.peers());
            let received = session.receive(id, boottime_ns(), &own, &peers, &mut bytes)?;
            inner.tell(News::Message(received.port, received.len, bytes));
            Some(())
        });
        received.flatten().is_some()
    }
}
