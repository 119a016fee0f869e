// SPDX-License-Identifier: GPL-2.0
//! Threads, events, queues.

use kernel::prelude::*;

#[kunit_tests(yoke_sys_thread)]
mod tests {
    use super::*;
    use crate::{
        event::{Event, Woken},
        inflight::Inflight,
        thread::{self, Thread},
        time,
        workqueue::WorkQueue,
    };
    use kernel::{
        impl_has_work, new_work,
        sync::{atomic::*, Arc},
        workqueue::{Work, WorkItem},
    };

    const SECOND: u64 = 1_000_000_000;

    #[pin_data]
    struct Counter {
        #[pin]
        event: Event,
        #[pin]
        echo: Event,
        count: Atomic<u64>,
    }

    fn counter() -> Result<Arc<Counter>> {
        Arc::pin_init(
            pin_init!(Counter {
                event <- Event::new(),
                echo <- Event::new(),
                count: Atomic::new(0),
            }),
            GFP_KERNEL,
        )
    }

    #[test]
    fn an_event_wakes_the_thread_each_time() -> Result {
        let shared = counter()?;
        let theirs = shared.clone();
        let thread = Thread::spawn(c"yoke-kunit", move || {
            while !thread::should_stop() {
                theirs.event.wait(None);
                if !thread::should_stop() {
                    theirs.count.add(1, Relaxed);
                    theirs.echo.set();
                }
            }
        })?;
        for _ in 0..100 {
            shared.event.set();
            let deadline = time::boottime_ns() + 10 * SECOND;
            assert_eq!(shared.echo.wait(Some(deadline)), Woken::Event);
        }
        assert_eq!(shared.count.load(Relaxed), 100);
        drop(thread);
        Ok(())
    }

    #[test]
    fn a_wait_ends_at_its_deadline() -> Result {
        let shared = counter()?;
        let start = time::boottime_ns();
        assert_eq!(shared.event.wait(Some(start + 3_000_000)), Woken::Deadline);
        let took = time::boottime_ns() - start;
        assert!(took >= 3_000_000);
        assert!(took < SECOND);
        // A deadline in the past does not sleep, and does not hide an event.
        assert_eq!(shared.event.wait(Some(1)), Woken::Deadline);
        shared.event.set();
        assert_eq!(shared.event.wait(Some(1)), Woken::Event);
        assert_eq!(shared.event.wait(Some(1)), Woken::Deadline);
        Ok(())
    }

    #[test]
    fn a_thread_that_is_stopped_at_once_frees_its_body() -> Result {
        let shared = counter()?;
        for _ in 0..200 {
            let theirs = shared.clone();
            drop(Thread::spawn(c"yoke-kunit", move || {
                theirs.count.add(1, Relaxed);
            })?);
        }
        // Whether they ran or not, nobody holds on to the counter any more.
        assert!(Arc::into_unique_or_drop(shared).is_some());
        Ok(())
    }

    #[test]
    fn inflight_waits_for_the_last() -> Result {
        static INFLIGHT: Inflight = Inflight::new();
        assert_eq!(INFLIGHT.wait_zero(0), Ok(()));
        INFLIGHT.get();
        INFLIGHT.get();
        assert_eq!(INFLIGHT.wait_zero(2_000_000), Err(ETIMEDOUT));
        let thread = Thread::spawn(c"yoke-kunit", || {
            time::sleep_us(2000);
            INFLIGHT.put();
            time::sleep_us(2000);
            INFLIGHT.put();
        })?;
        assert_eq!(INFLIGHT.wait_zero(10 * SECOND), Ok(()));
        drop(thread);
        Ok(())
    }

    #[pin_data]
    struct Job {
        #[pin]
        work: Work<Job>,
        runs: Atomic<u64>,
    }

    impl_has_work! {
        impl HasWork<Self> for Job { self.work }
    }

    impl WorkItem for Job {
        type Pointer = Arc<Self>;

        fn run(this: Arc<Self>) {
            this.runs.add(1, Relaxed);
        }
    }

    #[test]
    fn a_queue_runs_its_items() -> Result {
        let queue = WorkQueue::new(c"yoke_kunit", 1)?;
        let job = Arc::pin_init(
            pin_init!(Job {
                work <- new_work!("Job::work"),
                runs: Atomic::new(0),
            }),
            GFP_KERNEL,
        )?;
        for _ in 0..10 {
            let _ = queue.enqueue(job.clone());
            queue.flush();
        }
        assert_eq!(job.runs.load(Relaxed), 10);
        let _ = queue.enqueue(job.clone());
        drop(queue);
        assert_eq!(job.runs.load(Relaxed), 11);
        Ok(())
    }

    #[test]
    fn a_scope_without_io_nests_and_ends() {
        assert!(thread::alloc_may_do_io());
        let outer = thread::NoIo::enter();
        {
            let _inner = thread::NoIo::enter();
            assert!(!thread::alloc_may_do_io());
        }
        assert!(!thread::alloc_may_do_io());
        drop(outer);
        assert!(thread::alloc_may_do_io());
    }
}
