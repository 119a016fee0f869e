// SPDX-License-Identifier: GPL-2.0

//! The clients' thread: tells every client what happened, one thing after the other, with no lock held.

use super::{news::News, shared::Shared, Client};
use kernel::sync::Arc;
use yoke_sys::{
    thread::{self, NoIo},
    time::boottime_ns,
};

impl Shared {
    /// Until the thread is asked to stop; what happened until then is told all the same.
    pub(super) fn tell_clients(&self) {
        // As the volumes' threads, which wait for what is told here.
        thread::set_realtime();
        let _no_io = NoIo::enter();
        loop {
            let last = thread::should_stop();
            while let Some(news) = self.next_news() {
                self.tell(news);
            }
            if last {
                return;
            }
            self.heard.wait(None);
        }
    }

    fn tell(&self, news: News) {
        match news {
            News::SessionUp(partner) => self.each(|client| client.session_up(&partner, self)),
            News::LinkUp(port, contact) => self.each(|client| client.link_up(&port, &contact)),
            News::LinkDown(link, epoch) => self.each(|client| client.link_down(link, epoch)),
            News::WindowGone(port) => self.each(|client| client.window_gone(&port)),
            News::LinkGoing(link) => self.each(|client| client.link_going(link)),
            News::SessionGone(node, reason) => {
                self.each(|client| client.session_gone(node, reason));
                // Room was left for it, or the session ends by its own time.
                self.drive(0, |inner| inner.session.drained(boottime_ns()));
                self.wake.set();
            }
            News::Message(port, len, bytes) => {
                let bytes = bytes.get(..len).unwrap_or_default();
                self.each(|client| {
                    if client.port() == port {
                        client.message(bytes, self);
                    }
                });
            }
        }
    }

    /// Calls every client, without a lock.
    fn each(&self, call: impl Fn(&dyn Client)) {
        for at in 0.. {
            let client: Option<Arc<dyn Client>> = self.clients.lock().get(at).cloned();
            match client {
                Some(client) => call(&*client),
                None => return,
            }
        }
    }
}
