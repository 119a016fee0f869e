// SPDX-License-Identifier: GPL-2.0
//! No disks without somebody who will wait for what is left of them.

use kernel::prelude::*;

#[kunit_tests(yoke_sys_remains)]
mod tests {
    use super::*;
    use crate::{
        event::{Event, Woken},
        remains::{Home, HOME},
        tests::ram::SECOND,
        thread::Thread,
        time::boottime_ns,
    };
    use kernel::sync::Arc;

    #[test]
    fn nothing_is_made_that_nobody_will_wait_for() -> Result {
        let home = Home::new();
        assert_eq!(home.admit(), Err(ESHUTDOWN));
        home.keep();
        home.admit()?;
        home.leave();
        home.wait();
        assert_eq!(home.admit(), Err(ESHUTDOWN));
        // The module itself will.
        HOME.admit()?;
        HOME.leave();
        Ok(())
    }

    #[test]
    fn who_waits_waits_for_all_and_lets_nobody_in() -> Result {
        let home = Arc::new(Home::new(), GFP_KERNEL)?;
        home.keep();
        home.admit()?;
        let gone = Arc::pin_init(Event::new(), GFP_KERNEL)?;
        let (theirs, told) = (home.clone(), gone.clone());
        let waiter = Thread::spawn(c"yoke-kunit", move || {
            theirs.wait();
            told.set();
        })?;
        // It may wait for as long as it likes; nothing tells that it will not end.
        assert!(gone.wait(Some(boottime_ns() + SECOND / 20)) == Woken::Deadline);
        assert_eq!(home.admit(), Err(ESHUTDOWN));
        home.leave();
        assert!(gone.wait(Some(boottime_ns() + 10 * SECOND)) == Woken::Event);
        drop(waiter);
        Ok(())
    }
}
