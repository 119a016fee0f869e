// SPDX-License-Identifier: GPL-2.0
//! A configfs subsystem that goes while users have items in it.

use kernel::prelude::*;

#[kunit_tests(yoke_sys_configfs)]
mod tests {
    use super::*;
    use crate::{
        attr::Attr,
        configfs::{DirEntry, Directory, Item, Subsystem},
        event::{Event, Woken},
        tests::ram::SECOND,
        thread::Thread,
        time::boottime_ns,
    };
    use kernel::{bindings, sync::Arc};

    struct Thing;

    impl Item for Thing {
        const ATTRS: &'static [Attr<Self>] = &[Attr::ro(c"what", |_, text| text.line("thing"))];
    }

    struct Things;

    impl Directory for Things {
        type Item = Thing;

        fn make(_this: &Arc<Self>, name: &CStr) -> Result<Arc<Thing>> {
            if name == c"bad" {
                return Err(EINVAL);
            }
            Ok(Arc::new(Thing, GFP_KERNEL)?)
        }
    }

    /// What mkdir and rmdir do in a directory, without a user.
    struct Group(*mut bindings::config_group);

    impl Group {
        fn ops(&self) -> bindings::configfs_group_operations {
            // SAFETY: the group of a directory that was made, with a type that has these.
            unsafe { *(*(*self.0).cg_item.ci_type).ct_group_ops }
        }

        fn make(&self, name: &CStr) -> Result<*mut bindings::config_item> {
            let make = self.ops().make_item.ok_or(EINVAL)?;
            // SAFETY: as configfs calls it: the group is registered, the name is a string.
            kernel::error::from_err_ptr(unsafe { make(self.0, name.as_char_ptr()) })
        }

        fn remove(&self, item: *mut bindings::config_item) {
            if let Some(remove) = self.ops().drop_item {
                // SAFETY: as configfs calls it: once for each item that was made in the group.
                unsafe { remove(self.0, item) }
            }
        }
    }

    fn subsystem() -> Result<(Subsystem<Thing>, Group)> {
        let dir = DirEntry::new(c"things", Arc::new(Things, GFP_KERNEL)?)?;
        let group = Group(dir.group());
        let root = Arc::new(Thing, GFP_KERNEL)?;
        let subsystem = Subsystem::new(c"yoke_kunit", root, kernel::kvec![dir]?)?;
        Ok((subsystem, group))
    }

    #[test]
    fn a_subsystem_without_items_goes_at_once() -> Result {
        for _ in 0..3 {
            let (subsystem, group) = subsystem()?;
            assert_eq!(group.make(c"bad").err(), Some(EINVAL));
            let item = group.make(c"good")?;
            group.remove(item);
            drop(subsystem);
        }
        Ok(())
    }

    #[test]
    fn a_subsystem_that_goes_early_waits_for_its_items() -> Result {
        let (subsystem, group) = subsystem()?;
        let item = group.make(c"one")?;
        let gone = Arc::pin_init(Event::new(), GFP_KERNEL)?;
        let told = gone.clone();
        let dropper = Thread::spawn(c"yoke-kunit", move || {
            drop(subsystem);
            told.set();
        })?;
        // It may wait for as long as it likes; nothing tells that it will not end.
        assert!(gone.wait(Some(boottime_ns() + SECOND / 20)) == Woken::Deadline);
        assert_eq!(group.make(c"two").err(), Some(ESHUTDOWN));
        group.remove(item);
        assert!(gone.wait(Some(boottime_ns() + 10 * SECOND)) == Woken::Event);
        drop(dropper);
        Ok(())
    }
}
