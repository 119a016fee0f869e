// SPDX-License-Identifier: GPL-2.0
/*
 * The life of a link: it is there as long as yoke wants it, while its device
 * comes and goes below. kinds.c has the drivers, link_calls.c what goes through
 * a link that has its device.
 *
 * Locks, outer first: link->life (around the calls of the contract that may
 * sleep), yoke_sys_kinds_lock, link->lock (any context).
 */
#include <linux/err.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

/* Between two looks for a device that is there and cannot be had: doubled from one second on. */
#define YOKE_SYS_RETRY_MIN_S	1
#define YOKE_SYS_RETRY_MAX_S	32

struct yoke_link {
	const struct yoke_sys_link_ops *ops;
	void *data;
	char kind[YOKE_KIND_LEN];
	char device[YOKE_DEVICE_LEN];
	struct list_head entry;		/* in yoke_sys_links */
	struct workqueue_struct *queue;	/* of `work`, which may take long */
	struct delayed_work work;

	struct mutex life;
	/* Under `life`; constant while `present`. NULL: no device. */
	const struct yoke_interconnect *ic;
	void *priv;
	struct yoke_window window;	/* its memory dies with the device */
	u16 lives;			/* devices so far; part of the generation */
	u32 caps;			/* of the kind, from the first device on */
	u32 retry_s;
	int error;			/* why there is no device */

	spinlock_t lock;
	bool present;	/* readers: in an RCU section */
	bool lost;	/* yoke_link_gone() since create() was called */
	bool closing;	/* `work` is queued no more */
};

/* Has `work` run soon, or in @seconds. Any context. */
static void yoke_sys_link_kick(struct yoke_link *link, u32 seconds)
{
	unsigned long flags;

	spin_lock_irqsave(&link->lock, flags);
	if (!link->closing)
		mod_delayed_work(link->queue, &link->work, seconds * HZ);
	spin_unlock_irqrestore(&link->lock, flags);
}

static void yoke_sys_links_look(const char *kind, const char *device)
{
	struct yoke_link *link;

	list_for_each_entry(link, &yoke_sys_links, entry)
		if (!strcmp(link->kind, kind) &&
		    (!device || !strcmp(link->device, device)))
			yoke_sys_link_kick(link, 0);
}

/* Nobody is in the driver any more when this returns. May sleep. */
static void yoke_sys_link_hide(struct yoke_link *link, bool lost)
{
	unsigned long flags;

	spin_lock_irqsave(&link->lock, flags);
	WRITE_ONCE(link->present, false);
	link->lost |= lost;
	spin_unlock_irqrestore(&link->lock, flags);
	synchronize_rcu();
}

void yoke_link_gone(struct yoke_link *link)
{
	yoke_sys_link_hide(link, true);
	link->ops->changed(link->data);
	yoke_sys_link_kick(link, 0);
}
EXPORT_SYMBOL_GPL(yoke_link_gone);

void yoke_link_changed(struct yoke_link *link)
{
	link->ops->changed(link->data);
}
EXPORT_SYMBOL_GPL(yoke_link_changed);

void yoke_link_prepare(struct yoke_link *link)
{
	yoke_sys_link_kick(link, 0);
}
EXPORT_SYMBOL_GPL(yoke_link_prepare);

void yoke_link_doorbell(struct yoke_link *link)
{
	link->ops->doorbell(link->data);
}
EXPORT_SYMBOL_GPL(yoke_link_doorbell);

void yoke_link_message(struct yoke_link *link, const void *message, u32 len)
{
	link->ops->message(link->data, message, len);
}
EXPORT_SYMBOL_GPL(yoke_link_message);

/* Gives the device back. It is not shown any more; `life` is held. */
static void yoke_sys_link_release(struct yoke_link *link)
{
	/* Who hid it may still be waiting for the last readers. */
	synchronize_rcu();
	link->ic->stop(link->priv);
	link->ic->destroy(link->priv);
	module_put(link->ic->owner);
	link->ic = NULL;
	link->priv = NULL;
}

/* What start() gave is worth something; a window that was once shown does not shrink. */
static int yoke_sys_window_check(const struct yoke_link *link,
				 struct yoke_window *window)
{
	if (!window->in || !window->in_size)
		return -EIO;
	if (link->lives && window->in_size < link->window.in_size)
		return -ENOSPC;
	if (link->lives)
		window->in_size = link->window.in_size;
	return 0;
}

/* Shows the device to readers, unless it went meanwhile. `life` is held. */
static bool yoke_sys_link_show(struct yoke_link *link)
{
	unsigned long flags;
	bool lost;

	spin_lock_irqsave(&link->lock, flags);
	lost = link->lost;
	if (!lost)
		/* Pairs with yoke_sys_link_enter(): what is read there was set before. */
		smp_store_release(&link->present, true);
	spin_unlock_irqrestore(&link->lock, flags);
	return !lost;
}

/* A driver that answers nonsense must not look like success. */
static int yoke_sys_errno(int err)
{
	return !err || IS_ERR_VALUE((long)err) ? err : -EIO;
}

/* Takes the device, if it is there. `life` is held, the link has none. */
static int yoke_sys_link_acquire(struct yoke_link *link)
{
	const struct yoke_interconnect *ic = yoke_sys_kind_get(link->kind);
	struct yoke_window window = {};
	unsigned long flags;
	int err;

	if (!ic)
		return -ENODEV;
	/* From create() on the driver may say that the device goes. */
	spin_lock_irqsave(&link->lock, flags);
	link->lost = false;
	spin_unlock_irqrestore(&link->lock, flags);
	err = yoke_sys_errno(ic->create(link, link->device, &link->priv));
	if (err) {
		module_put(ic->owner);
		return err;
	}
	err = yoke_sys_errno(ic->start(link->priv, &window));
	if (err) {
		ic->destroy(link->priv);
		module_put(ic->owner);
		return err;
	}
	link->ic = ic;
	err = yoke_sys_window_check(link, &window);
	if (!err) {
		link->window.in = window.in;
		WRITE_ONCE(link->window.in_size, window.in_size);
		WRITE_ONCE(link->window.out_size, window.out_size);
		WRITE_ONCE(link->caps, ic->caps);
		link->lives++;
		err = yoke_sys_link_show(link) ? 0 : -ENODEV;
	}
	if (err)
		yoke_sys_link_release(link);
	return err;
}

/* Takes the device, or tells why not, and when to look again. `life` is held. */
static void yoke_sys_link_look(struct yoke_link *link)
{
	link->error = yoke_sys_link_acquire(link);
	if (!link->error)
		link->retry_s = YOKE_SYS_RETRY_MIN_S;
	/* Who waits for a device to come is told when it does. */
	if (link->error && link->error != -ENODEV) {
		yoke_sys_link_kick(link, link->retry_s);
		link->retry_s = min(link->retry_s * 2, YOKE_SYS_RETRY_MAX_S);
	}
	link->ops->changed(link->data);
}

static void yoke_sys_link_work(struct work_struct *work)
{
	struct yoke_link *link = container_of(to_delayed_work(work),
					      struct yoke_link, work);

	mutex_lock(&link->life);
	if (link->ic && READ_ONCE(link->lost))
		yoke_sys_link_release(link);
	if (!link->ic)
		yoke_sys_link_look(link);
	else if (link->ic->prepare)
		link->ic->prepare(link->priv);
	mutex_unlock(&link->life);
}

static struct yoke_link *yoke_sys_link_alloc(const char *kind, const char *device)
{
	struct yoke_link *link;

	if (strlen(device) >= YOKE_DEVICE_LEN || strlen(kind) >= YOKE_KIND_LEN)
		return ERR_PTR(-EINVAL);
	link = kzalloc(sizeof(*link), GFP_KERNEL);
	if (!link)
		return ERR_PTR(-ENOMEM);
	link->queue = alloc_ordered_workqueue("yoke_device", 0);
	if (!link->queue) {
		kfree(link);
		return ERR_PTR(-ENOMEM);
	}
	strscpy(link->kind, kind);
	strscpy(link->device, device);
	link->retry_s = YOKE_SYS_RETRY_MIN_S;
	mutex_init(&link->life);
	spin_lock_init(&link->lock);
	INIT_DELAYED_WORK(&link->work, yoke_sys_link_work);
	return link;
}

/* May sleep. @ops and @data may be called no more when it returns. */
void yoke_sys_link_destroy(struct yoke_link *link)
{
	unsigned long flags;

	mutex_lock(&yoke_sys_kinds_lock);
	list_del(&link->entry);
	mutex_unlock(&yoke_sys_kinds_lock);
	spin_lock_irqsave(&link->lock, flags);
	link->closing = true;
	spin_unlock_irqrestore(&link->lock, flags);
	cancel_delayed_work_sync(&link->work);
	yoke_sys_link_hide(link, false);
	/* Waits for a driver that is in yoke_link_gone(). */
	mutex_lock(&link->life);
	if (link->ic)
		yoke_sys_link_release(link);
	mutex_unlock(&link->life);
	destroy_workqueue(link->queue);
	mutex_destroy(&link->life);
	kfree(link);
}

/*
 * May sleep. A link whose device is not there waits for it, if there is a driver
 * of its kind. ERR_PTR on other failures. @ops and @data outlive the link.
 */
struct yoke_link *yoke_sys_link_create(const char *kind, const char *device,
				       const struct yoke_sys_link_ops *ops,
				       void *data)
{
	const struct yoke_interconnect *ic = yoke_sys_kind_get(kind);
	struct yoke_link *link;
	int err;

	if (!ic)
		return ERR_PTR(-ENODEV);
	module_put(ic->owner);
	link = yoke_sys_link_alloc(kind, device);
	if (IS_ERR(link))
		return link;
	link->ops = ops;
	link->data = data;
	/* Before the look: a device that comes after it is not missed. */
	mutex_lock(&yoke_sys_kinds_lock);
	list_add(&link->entry, &yoke_sys_links);
	mutex_unlock(&yoke_sys_kinds_lock);
	mutex_lock(&link->life);
	err = link->ic ? 0 : yoke_sys_link_acquire(link);
	link->error = err;
	mutex_unlock(&link->life);
	if (!err || err == -ENODEV)
		return link;
	yoke_sys_link_destroy(link);
	return ERR_PTR(err);
}

/* 0: the link has its device; else why not. Any context. */
int yoke_sys_link_error(const struct yoke_link *link)
{
	return READ_ONCE(link->present) ? 0 : (READ_ONCE(link->error) ?: -ENODEV);
}
