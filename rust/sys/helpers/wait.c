// SPDX-License-Identifier: GPL-2.0
/* Shims for waiting, threads, time and CPUs. */
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/kthread.h>
#include <linux/random.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/smp.h>
#include <linux/timekeeping.h>
#include <linux/wait.h>
#include <linux/wait_bit.h>

/* Uses the address only: what it points to may be gone already. */
void yoke_sys_wake_var(const void *var)
{
	wake_up_var((void *)var);
}

/*
 * Sleep while *@var == @value, at most @timeout_ns (rounded up to jiffies).
 * Returns whether it changed. May sleep.
 */
bool yoke_sys_wait_while(const u32 *var, u32 value, u64 timeout_ns)
{
	long timeout = min_t(u64, nsecs_to_jiffies(timeout_ns),
			     MAX_SCHEDULE_TIMEOUT - 2) + 1;

	return wait_var_event_timeout((void *)var,
				      smp_load_acquire(var) != value, timeout);
}

void yoke_sys_wq_init(struct wait_queue_head *wq)
{
	init_waitqueue_head(wq);
}

/*
 * Who finds the flag set already need not wake: the one who set it does. The
 * full barrier of xchg() stands between the flag and the look at the queue.
 */
void yoke_sys_wq_wake(struct wait_queue_head *wq, u32 *flag)
{
	if (!xchg(flag, 1) && waitqueue_active(wq))
		wake_up_all(wq);
}

static bool yoke_sys_wq_ready(u32 *flag)
{
	/* A full barrier, paired with the one of yoke_sys_wq_wake(). */
	return xchg(flag, 0) || yoke_sys_should_stop();
}

/*
 * Sleep until *@flag is set (and clear it), the thread is asked to stop, or
 * CLOCK_BOOTTIME reaches @deadline_ns (all ones: never). Returns false on the
 * deadline. TASK_IDLE: neither load nor hung-task warnings. May sleep.
 */
bool yoke_sys_wq_wait(struct wait_queue_head *wq, u32 *flag, u64 deadline_ns)
{
	struct hrtimer_sleeper t;
	bool ready = true;

	might_sleep();
	if (yoke_sys_wq_ready(flag))
		return true;
	hrtimer_setup_sleeper_on_stack(&t, CLOCK_BOOTTIME, HRTIMER_MODE_ABS);
	if (deadline_ns != U64_MAX) {
		hrtimer_set_expires(&t.timer,
				    min_t(u64, deadline_ns, KTIME_MAX));
		hrtimer_sleeper_start_expires(&t, HRTIMER_MODE_ABS);
	}
	(void)___wait_event(*wq, yoke_sys_wq_ready(flag), TASK_IDLE, 0, 0,
			    if (!t.task) {
				    ready = false;
				    break;
			    }
			    schedule());
	hrtimer_cancel(&t.timer);
	destroy_hrtimer_on_stack(&t.timer);
	return ready;
}

/* Always false outside of a kernel thread. */
bool yoke_sys_should_stop(void)
{
	return (current->flags & PF_KTHREAD) && kthread_should_stop();
}

/* May sleep. The thread is not started yet, and a reference on it is held. */
struct task_struct *yoke_sys_thread_create(int (*fn)(void *), void *data,
					   const char *name)
{
	struct task_struct *task = kthread_create(fn, data, "%s", name);

	if (!IS_ERR(task))
		get_task_struct(task);
	return task;
}

void yoke_sys_thread_realtime(void)
{
	sched_set_fifo_low(current);
}

void yoke_sys_thread_urgent(void)
{
	sched_set_fifo(current);
}

/*
 * Of the calling task: memory that it allocates from now on is not found by
 * block I/O. Returns what yoke_sys_noio_restore() takes.
 */
unsigned int yoke_sys_noio_save(void)
{
	return memalloc_noio_save();
}

void yoke_sys_noio_restore(unsigned int flags)
{
	memalloc_noio_restore(flags);
}

/* Whether an allocation with GFP_KERNEL could begin block I/O here. */
bool yoke_sys_alloc_may_do_io(void)
{
	return current_gfp_context(GFP_KERNEL) & __GFP_IO;
}

u64 yoke_sys_boottime_ns(void)
{
	return ktime_get_boottime_ns();
}

u64 yoke_sys_monotonic_ns(void)
{
	return ktime_get_ns();
}

u64 yoke_sys_random_u64(void)
{
	return get_random_u64();
}

/* May sleep. */
void yoke_sys_sleep_us(u64 us)
{
	fsleep(min_t(u64, us, ULONG_MAX));
}

u32 yoke_sys_cpu(void)
{
	return raw_smp_processor_id();
}

u32 yoke_sys_cpu_count(void)
{
	return nr_cpu_ids;
}

void yoke_sys_rcu_lock(void)
{
	rcu_read_lock();
}

void yoke_sys_rcu_unlock(void)
{
	rcu_read_unlock();
}
