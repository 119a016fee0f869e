// SPDX-License-Identifier: GPL-2.0

//! Bridges that translate at the receiving end, which are all but IDT: our half is pointed at our memory, by us, whenever
//! the link has come up. What fails is tried again for as long as the link is up.

use super::{fence, Endpoint, Running};
use crate::{
    again::{self, Again},
    client,
    tries::{Complaint, Tries},
};
use kernel::{
    prelude::*,
    sync::{atomic::Relaxed, Arc},
    time::{Instant, Monotonic},
};

/// What is remembered from one try to the next. Dropping it stops the timer.
pub(super) struct Pointing {
    again: Arc<Again>,
    /// It asks for the next try.
    timer: Option<again::Running>,
    tries: Tries,
    /// The count of events of the link that the tries belong to.
    events: u64,
    complaint: Complaint,
    begin: Instant<Monotonic>,
}

impl Pointing {
    pub(super) fn new(again: Arc<Again>) -> Self {
        Pointing {
            again,
            timer: None,
            tries: Tries::new(),
            events: 0,
            complaint: Complaint::new(),
            begin: Instant::now(),
        }
    }

    /// No try is asked for any more; none is being asked for when this returns. Context: may sleep.
    pub(super) fn rest(&mut self) {
        self.timer = None;
    }

    /// A try after `events` events of the link failed.
    fn failed(&mut self, events: u64, name: &str, error: Error) {
        if self.events != events {
            (self.events, self.tries) = (events, Tries::new());
        }
        let now_ms = self.begin.elapsed().as_millis();
        if self.complaint.is_new(now_ms) {
            pr_err!(
                "{name}: the link is up, but the window cannot be set up ({}): trying again\n",
                error.to_errno()
            );
        }
        let wait_ms = self.tries.failed(now_ms);
        self.timer = Some(self.again.in_ms(wait_ms));
    }
}

impl Endpoint {
    /// Points the bridge at our memory, if the link is up and that was not done since it came up. Whether there is news for
    /// yoke. The link is started. Context: may sleep.
    pub(super) fn translate(&self, running: &Running, pointing: &mut Pointing, up: bool) -> bool {
        pointing.rest();
        if self.ready.load(Relaxed) || !up {
            return false;
        }
        let name = client::name(self.ntb);
        let before = running.generation.calls.count();
        if let Err(error) = running.inbound.translate() {
            pointing.failed(before, name, error);
            return false;
        }
        if pointing.complaint.is_over() {
            pr_info!("{name}: the window is set up now\n");
        }
        self.ready.store(true, Relaxed);
        fence();
        if running.generation.calls.count() != before {
            // It went down meanwhile, perhaps: once more.
            self.ready.store(false, Relaxed);
            pointing.again.at_once();
        }
        true
    }
}
