// SPDX-License-Identifier: GPL-2.0
/*
 * The kinds of links that interconnect drivers offer, and one shim for each of
 * their calls, so that the layout of include/yoke/interconnect.h is known to C
 * only.
 *
 * Lock: yoke_sys_kinds_lock guards the table, nothing else is taken inside.
 */
#include <linux/export.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>

#include <yoke/interconnect.h>

#define YOKE_SYS_KINDS	8

static DEFINE_MUTEX(yoke_sys_kinds_lock);
static const struct yoke_interconnect *yoke_sys_kinds[YOKE_SYS_KINDS];

struct yoke_link {
	const struct yoke_sys_link_ops *ops;
	void *data;
	const struct yoke_interconnect *ic;
	void *priv;
	bool gone;		/* the device is: only ever set */
};

/*
 * Around everything that touches the driver's memory. A device may be taken
 * away at any moment, and yoke_link_gone() waits for whoever is in here.
 */
static bool yoke_sys_link_enter(const struct yoke_link *link)
{
	rcu_read_lock();
	if (!READ_ONCE(link->gone))
		return true;
	rcu_read_unlock();
	return false;
}

static void yoke_sys_link_leave(void)
{
	rcu_read_unlock();
}

static bool yoke_sys_kind_complete(const struct yoke_interconnect *ic)
{
	return ic->create && ic->destroy && ic->start && ic->stop &&
	       ic->is_up && ic->down_count && ic->min_down_us && ic->post &&
	       ic->post64 && ic->barrier && ic->read64 && ic->ring &&
	       (!(ic->caps & YOKE_IC_MESSAGE) || (ic->send && ic->max_message));
}

int yoke_interconnect_register(const struct yoke_interconnect *ic)
{
	int i, free = -1, err = 0;

	if (!ic || ic->abi != YOKE_INTERCONNECT_ABI || ic->reserved ||
	    !ic->kind[0] || strnlen(ic->kind, YOKE_KIND_LEN) == YOKE_KIND_LEN ||
	    !yoke_sys_kind_complete(ic))
		return -EINVAL;

	mutex_lock(&yoke_sys_kinds_lock);
	for (i = 0; i < YOKE_SYS_KINDS && !err; i++) {
		if (!yoke_sys_kinds[i]) {
			if (free < 0)
				free = i;
		} else if (!strcmp(yoke_sys_kinds[i]->kind, ic->kind)) {
			err = -EEXIST;
		}
	}
	if (!err && free < 0)
		err = -ENOSPC;
	if (!err)
		yoke_sys_kinds[free] = ic;
	mutex_unlock(&yoke_sys_kinds_lock);
	return err;
}
EXPORT_SYMBOL_GPL(yoke_interconnect_register);

void yoke_interconnect_unregister(const struct yoke_interconnect *ic)
{
	int i;

	mutex_lock(&yoke_sys_kinds_lock);
	for (i = 0; i < YOKE_SYS_KINDS; i++)
		if (yoke_sys_kinds[i] == ic)
			yoke_sys_kinds[i] = NULL;
	mutex_unlock(&yoke_sys_kinds_lock);
}
EXPORT_SYMBOL_GPL(yoke_interconnect_unregister);

void yoke_link_gone(struct yoke_link *link)
{
	WRITE_ONCE(link->gone, true);
	synchronize_rcu();
	link->ops->changed(link->data);
}
EXPORT_SYMBOL_GPL(yoke_link_gone);

void yoke_link_changed(struct yoke_link *link)
{
	link->ops->changed(link->data);
}
EXPORT_SYMBOL_GPL(yoke_link_changed);

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

/* The kind, with a reference on its module; NULL: not there, or going. */
static const struct yoke_interconnect *yoke_sys_kind_get(const char *kind)
{
	const struct yoke_interconnect *found = NULL;
	int i;

	mutex_lock(&yoke_sys_kinds_lock);
	for (i = 0; i < YOKE_SYS_KINDS; i++) {
		if (yoke_sys_kinds[i] &&
		    !strcmp(yoke_sys_kinds[i]->kind, kind) &&
		    try_module_get(yoke_sys_kinds[i]->owner))
			found = yoke_sys_kinds[i];
	}
	mutex_unlock(&yoke_sys_kinds_lock);
	return found;
}

/* May sleep. ERR_PTR on failure. @ops and @data outlive the link. */
struct yoke_link *yoke_sys_link_create(const char *kind, const char *device,
				       const struct yoke_sys_link_ops *ops,
				       void *data)
{
	struct yoke_link *link;
	int err;

	if (strlen(device) >= YOKE_DEVICE_LEN)
		return ERR_PTR(-EINVAL);
	link = kzalloc(sizeof(*link), GFP_KERNEL);
	if (!link)
		return ERR_PTR(-ENOMEM);
	link->ops = ops;
	link->data = data;
	link->ic = yoke_sys_kind_get(kind);
	err = link->ic ? link->ic->create(link, device, &link->priv) : -ENODEV;
	if (!err)
		return link;
	if (link->ic)
		module_put(link->ic->owner);
	kfree(link);
	/* A driver that answers nonsense must not look like success. */
	return ERR_PTR(IS_ERR_VALUE((long)err) ? err : -EIO);
}

/* May sleep. The link is stopped. */
void yoke_sys_link_destroy(struct yoke_link *link)
{
	link->ic->destroy(link->priv);
	module_put(link->ic->owner);
	kfree(link);
}

/* May sleep. */
int yoke_sys_link_start(struct yoke_link *link, struct yoke_window *window)
{
	int err = link->ic->start(link->priv, window);

	if (!err && (!window->in || !window->in_size)) {
		link->ic->stop(link->priv);
		return -EIO;
	}
	return err;
}

/* May sleep. */
void yoke_sys_link_stop(struct yoke_link *link)
{
	link->ic->stop(link->priv);
}

u32 yoke_sys_link_caps(const struct yoke_link *link)
{
	return link->ic->caps;
}

u32 yoke_sys_link_max_message(const struct yoke_link *link)
{
	return link->ic->caps & YOKE_IC_MESSAGE ? link->ic->max_message : 0;
}

bool yoke_sys_link_is_up(const struct yoke_link *link)
{
	bool up = false;

	if (yoke_sys_link_enter(link)) {
		up = link->ic->is_up(link->priv);
		yoke_sys_link_leave();
	}
	return up;
}

/* All ones when the device is gone: the last of all downs. */
u64 yoke_sys_link_down_count(const struct yoke_link *link)
{
	u64 count = U64_MAX;

	if (yoke_sys_link_enter(link)) {
		count = link->ic->down_count(link->priv);
		yoke_sys_link_leave();
	}
	return count;
}

u32 yoke_sys_link_min_down_us(const struct yoke_link *link)
{
	u32 us = 0;

	if (yoke_sys_link_enter(link)) {
		us = link->ic->min_down_us(link->priv);
		yoke_sys_link_leave();
	}
	return us;
}

int yoke_sys_link_post(const struct yoke_link *link, u64 offset,
		       const void *src, u64 len)
{
	int err = -ENOTCONN;

	if (yoke_sys_link_enter(link)) {
		err = link->ic->post(link->priv, offset, src, len);
		yoke_sys_link_leave();
	}
	return err;
}

int yoke_sys_link_post64(const struct yoke_link *link, u64 offset, u64 value)
{
	int err = -ENOTCONN;

	if (yoke_sys_link_enter(link)) {
		err = link->ic->post64(link->priv, offset, value);
		yoke_sys_link_leave();
	}
	return err;
}

void yoke_sys_link_barrier(const struct yoke_link *link)
{
	/* In parentheses: barrier() is also a macro. */
	if (yoke_sys_link_enter(link)) {
		(link->ic->barrier)(link->priv);
		yoke_sys_link_leave();
	}
}

u64 yoke_sys_link_read64(const struct yoke_link *link, u64 offset)
{
	u64 value = U64_MAX;

	if (yoke_sys_link_enter(link)) {
		value = link->ic->read64(link->priv, offset);
		yoke_sys_link_leave();
	}
	return value;
}

void yoke_sys_link_ring(const struct yoke_link *link)
{
	if (yoke_sys_link_enter(link)) {
		link->ic->ring(link->priv);
		yoke_sys_link_leave();
	}
}

/*
 * Our own window, [p, p + len) checked by the caller. Nothing happens, and the
 * answer is -ENOTCONN, once the device is gone. A long copy or zeroing is the
 * caller's to cut: this holds the CPU.
 */
int yoke_sys_link_copy(const struct yoke_link *link, void *dst,
		       const void *src, size_t len)
{
	if (!yoke_sys_link_enter(link))
		return -ENOTCONN;
	yoke_sys_copy(dst, src, len);
	yoke_sys_link_leave();
	return 0;
}

int yoke_sys_link_zero(const struct yoke_link *link, void *dst, size_t len)
{
	if (!yoke_sys_link_enter(link))
		return -ENOTCONN;
	yoke_sys_zero(dst, len);
	yoke_sys_link_leave();
	return 0;
}

int yoke_sys_link_load64(const struct yoke_link *link, const void *p, u64 *value)
{
	if (!yoke_sys_link_enter(link))
		return -ENOTCONN;
	*value = smp_load_acquire((const u64 *)p);
	yoke_sys_link_leave();
	return 0;
}

int yoke_sys_link_store64(const struct yoke_link *link, void *p, u64 value)
{
	if (!yoke_sys_link_enter(link))
		return -ENOTCONN;
	smp_store_release((u64 *)p, value);
	yoke_sys_link_leave();
	return 0;
}

/* May sleep, so it is not for devices that can be taken away (the contract). */
int yoke_sys_link_send(const struct yoke_link *link, const void *message,
		       u32 len)
{
	if (!(link->ic->caps & YOKE_IC_MESSAGE))
		return -EOPNOTSUPP;
	return link->ic->send(link->priv, message, len);
}
