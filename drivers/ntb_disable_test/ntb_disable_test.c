// SPDX-License-Identifier: GPL-2.0
/*
 * An NTB client for tests only: does ntb_link_disable() wait for the client?
 *
 * ntb_hw_ivshmem promises that when it returns, no link event of this client is under way, and
 * that what an earlier event queued on the system's work queues has run. So the handler here is
 * slow, and queues slow work; a round enables the link, waits until the handler has begun (every
 * other round: until the link is up, and the handler perhaps about to begin), disables the link,
 * and counts at once what is not over. A handler that begins later is counted as well.
 *
 * In /sys/kernel/debug/ntb_disable_test/DEVICE, write a number of rounds to
 *
 *   run        as it is
 *   run_alone  with a driver that gets no memory to wait for work. A handler cannot be preempted,
 *              so that work on its CPU comes after it: waiting for work waits for the handler as
 *              well, and hides whether anything else does. The work is over by itself here.
 *
 * and read the counts of that write from `result`. Needs two CPUs: the handler has its own.
 */
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/ntb.h>
#include <linux/pci.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/workqueue.h>

#define HANDLER_MS	25
/* The next item need not wait for one that takes wq_cpu_intensive_thresh_us (10 ms) or more. */
#define WORK_MS		4
/* Longer than the driver's tick, at which it makes up for lost interrupts. */
#define WATCH_MS	40
#define ROUNDS_MAX	1000

static unsigned int limit_ms = 10000;
module_param(limit_ms, uint, 0644);
MODULE_PARM_DESC(limit_ms, "How long a round waits for the link to come up");

struct slow_work {
	struct work_struct work;
	struct disable_test *test;
};

struct result {
	unsigned int rounds;	/* begun */
	unsigned int caught;	/* a handler was inside when the link was disabled */
	unsigned int inside;	/* a handler was inside when that returned */
	unsigned int late;	/* a handler began after that */
	unsigned int pending;	/* work was queued and had not run when that returned */
	unsigned int queued;	/* pieces of work, of all rounds */
	unsigned int refused;	/* the driver asked for memory to wait and got none */
};

struct disable_test {
	struct ntb_dev *ntb;
	struct dentry *dir;
	struct slow_work percpu, highpri;
	atomic_t inside, begun, queued, ran;
	int cpu;
	bool going;
	struct result result;
};

static struct dentry *top;
/* One run at a time, on whatever device. */
static DEFINE_MUTEX(running);
static struct task_struct *refuse;
static atomic_t refused;

static void slow(struct work_struct *work)
{
	mdelay(WORK_MS);
	atomic_inc(&container_of(work, struct slow_work, work)->test->ran);
}

/* Context: a spinlock of the NTB core is held, and interrupts are off. */
static void link_event(void *ctx)
{
	struct disable_test *test = ctx;

	WRITE_ONCE(test->cpu, smp_processor_id());
	atomic_inc(&test->inside);
	atomic_inc(&test->begun);
	mdelay(HANDLER_MS);
	atomic_add(queue_work(system_percpu_wq, &test->percpu.work), &test->queued);
	atomic_add(queue_work(system_highpri_wq, &test->highpri.work), &test->queued);
	atomic_dec(&test->inside);
}

static const struct ntb_ctx_ops ctx_ops = {
	.link_event = link_event,
};

static int no_memory(void)
{
	return -ENOMEM;
}

/* Lets no_memory() run in the place of ntb_hw_ivshmem_settle(), for one task. */
static int refuse_memory(struct kprobe *probe, struct pt_regs *regs)
{
	if (current != READ_ONCE(refuse))
		return 0;
	atomic_inc(&refused);
	instruction_pointer_set(regs, (unsigned long)no_memory);
	return 1;
}

/* A probe that has this is never optimized, and only then may go elsewhere. */
static void never_optimized(struct kprobe *probe, struct pt_regs *regs, unsigned long flags)
{
}

static bool is_over(struct disable_test *test)
{
	return READ_ONCE(test->going) || signal_pending(current);
}

static bool is_time(struct disable_test *test, int begun)
{
	if (test->result.rounds % 2)
		return atomic_read(&test->begun) != begun;
	return ntb_link_is_up(test->ntb, NULL, NULL);
}

static void wait_until_time(struct disable_test *test, int begun)
{
	unsigned long end = jiffies + msecs_to_jiffies(limit_ms);

	while (!is_time(test, begun) && !is_over(test) && time_before(jiffies, end))
		usleep_range(50, 100);
}

static void play(struct disable_test *test)
{
	struct result *result = &test->result;
	int begun = atomic_read(&test->begun);

	result->rounds++;
	ntb_link_enable(test->ntb, NTB_SPEED_AUTO, NTB_WIDTH_AUTO);
	wait_until_time(test, begun);
	result->caught += !!atomic_read(&test->inside);
	ntb_link_disable(test->ntb);

	result->inside += !!atomic_read(&test->inside);
	begun = atomic_read(&test->begun);
	result->pending += atomic_read(&test->ran) != atomic_read(&test->queued);
	msleep(WATCH_MS);
	result->late += atomic_read(&test->begun) != begun;
	flush_work(&test->percpu.work);
	flush_work(&test->highpri.work);
}

static int run(struct disable_test *test, u64 rounds)
{
	int queued = atomic_read(&test->queued);

	if (rounds > ROUNDS_MAX)
		return -EINVAL;
	memset(&test->result, 0, sizeof(test->result));
	atomic_set(&refused, 0);
	while (rounds-- && !is_over(test))
		play(test);
	test->result.queued = atomic_read(&test->queued) - queued;
	test->result.refused = atomic_read(&refused);
	return is_over(test) ? -EINTR : 0;
}

static int run_set(void *data, u64 rounds)
{
	int ret;

	if (!mutex_trylock(&running))
		return -EBUSY;
	ret = run(data, rounds);
	mutex_unlock(&running);
	return ret;
}
DEFINE_DEBUGFS_ATTRIBUTE(run_fops, NULL, run_set, "%llu\n");

static int run_alone_set(void *data, u64 rounds)
{
	struct kprobe probe = {
		.symbol_name = "ntb_hw_ivshmem_settle",
		.pre_handler = refuse_memory,
		.post_handler = never_optimized,
	};
	int ret;

	if (!mutex_trylock(&running))
		return -EBUSY;
	ret = register_kprobe(&probe);
	if (!ret) {
		WRITE_ONCE(refuse, current);
		ret = run(data, rounds);
		WRITE_ONCE(refuse, NULL);
		unregister_kprobe(&probe);
	}
	mutex_unlock(&running);
	return ret;
}
DEFINE_DEBUGFS_ATTRIBUTE(run_alone_fops, NULL, run_alone_set, "%llu\n");

static int result_show(struct seq_file *file, void *unused)
{
	struct disable_test *test = file->private;
	const struct result *result = &test->result;

	seq_printf(file, "cpu %d\nrounds %u\ncaught %u\ninside %u\nlate %u\npending %u\n",
		   READ_ONCE(test->cpu), result->rounds, result->caught, result->inside,
		   result->late, result->pending);
	seq_printf(file, "queued %u\nrefused %u\n", result->queued, result->refused);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(result);

static void init_slow_work(struct slow_work *work, struct disable_test *test)
{
	INIT_WORK(&work->work, slow);
	work->test = test;
}

static int disable_test_probe(struct ntb_client *client, struct ntb_dev *ntb)
{
	struct disable_test *test = devm_kzalloc(&ntb->dev, sizeof(*test), GFP_KERNEL);
	int ret;

	if (!test)
		return -ENOMEM;
	test->ntb = ntb;
	test->cpu = -1;
	init_slow_work(&test->percpu, test);
	init_slow_work(&test->highpri, test);
	ret = ntb_set_ctx(ntb, test, &ctx_ops);
	if (ret)
		return ret;
	test->dir = debugfs_create_dir(pci_name(ntb->pdev), top);
	debugfs_create_file("run", 0200, test->dir, test, &run_fops);
	debugfs_create_file("run_alone", 0200, test->dir, test, &run_alone_fops);
	debugfs_create_file("result", 0400, test->dir, test, &result_fops);
	return 0;
}

static void disable_test_remove(struct ntb_client *client, struct ntb_dev *ntb)
{
	struct disable_test *test = ntb->ctx;

	/* Waits for a run, which ends soon. */
	WRITE_ONCE(test->going, true);
	debugfs_remove(test->dir);
	ntb_link_disable(ntb);
	ntb_clear_ctx(ntb);
	cancel_work_sync(&test->percpu.work);
	cancel_work_sync(&test->highpri.work);
}

static struct ntb_client disable_test_client = {
	.ops = {
		.probe = disable_test_probe,
		.remove = disable_test_remove,
	},
};

static int __init disable_test_init(void)
{
	int ret;

	top = debugfs_create_dir(KBUILD_MODNAME, NULL);
	ret = ntb_register_client(&disable_test_client);
	if (ret)
		debugfs_remove(top);
	return ret;
}
module_init(disable_test_init);

static void __exit disable_test_exit(void)
{
	ntb_unregister_client(&disable_test_client);
	debugfs_remove(top);
}
module_exit(disable_test_exit);

MODULE_DESCRIPTION("For tests: whether ntb_link_disable() waits for the client");
MODULE_AUTHOR("yoke maintainers");
MODULE_LICENSE("GPL");
