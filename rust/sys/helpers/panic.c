// SPDX-License-Identifier: GPL-2.0
/* A call when the kernel panics. */
#include <linux/notifier.h>
#include <linux/panic_notifier.h>
#include <linux/slab.h>

struct yoke_sys_panic_hook {
	struct notifier_block nb;
	void (*call)(void *data);
	void *data;
};

static int yoke_sys_panicking(struct notifier_block *nb, unsigned long event,
			      void *message)
{
	struct yoke_sys_panic_hook *hook =
		container_of(nb, struct yoke_sys_panic_hook, nb);

	hook->call(hook->data);
	return NOTIFY_DONE;
}

/* May sleep. NULL: out of memory. @data outlives the hook. */
struct yoke_sys_panic_hook *yoke_sys_panic_hook_new(void (*call)(void *data),
						    void *data)
{
	struct yoke_sys_panic_hook *hook = kzalloc(sizeof(*hook), GFP_KERNEL);

	if (!hook)
		return NULL;
	hook->call = call;
	hook->data = data;
	hook->nb.notifier_call = yoke_sys_panicking;
	/* Before the console's and the dump's, which take their time. */
	hook->nb.priority = INT_MAX;
	atomic_notifier_chain_register(&panic_notifier_list, &hook->nb);
	return hook;
}

/* May sleep: waits for a call under way. */
void yoke_sys_panic_hook_free(struct yoke_sys_panic_hook *hook)
{
	atomic_notifier_chain_unregister(&panic_notifier_list, &hook->nb);
	kfree(hook);
}
