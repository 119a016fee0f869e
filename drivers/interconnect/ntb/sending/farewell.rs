// SPDX-License-Identifier: GPL-2.0

//! How an end goes, so that its memory can be freed.

use super::Sending;
use kernel::{
    bindings,
    prelude::*,
    sync::atomic::Relaxed,
    time::{delay::fsleep, Delta, Instant, Monotonic},
};

/// How long a peer that is there may take to let go of our memory.
const PATIENCE: Delta = Delta::from_millis(500);

impl Sending {
    /// Lets go of the peer's memory and has it let go of ours. When this returns the peer does not write it any more: it
    /// has said so, or the bridge is cut off from all memory until the next start. No hot call is under way.
    ///
    /// Context: may sleep, half a second and a little at most.
    pub(crate) fn farewell(&self, up: bool) {
        let mut talk = self.talk.lock();
        self.reach.store(0, Relaxed);
        self.mailbox.hush();
        self.withdraw(&mut talk);
        talk.exchange.leave();
        let begin = Instant::<Monotonic>::now();
        while up && begin.elapsed() < PATIENCE {
            if talk.exchange.has_news() && self.mailbox.put(&talk.exchange.say().pack()) {
                talk.exchange.told();
            }
            if let Some(letter) = self.read(&mut talk) {
                let _ = talk.exchange.hear(letter);
            }
            if !talk.exchange.is_exposed() && !talk.exchange.has_news() {
                break;
            }
            fsleep(Delta::from_millis(1));
        }
        if talk.exchange.is_exposed() {
            self.cut();
        }
        talk.timer = None;
    }

    /// The bridge writes no memory any more, and what was on its way has arrived.
    fn cut(&self) {
        let mut command = 0;
        // SAFETY: the PCI device below a device that is registered as long as this lives; `command` is valid for a write.
        // The answer to the read comes behind all writes that were under way.
        unsafe {
            let device = (*self.ntb).pdev;
            bindings::pci_clear_master(device);
            bindings::pci_read_config_word(device, bindings::PCI_COMMAND as c_int, &mut command);
        }
        pr_warn!(
            "{}: the peer does not let go of our window: the bridge may write no memory until the next start\n",
            self.name()
        );
    }
}
