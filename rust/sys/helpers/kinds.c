// SPDX-License-Identifier: GPL-2.0
/*
 * The kinds of links that interconnect drivers offer, and the links that there
 * are. Included before link.c.
 *
 * Lock: yoke_sys_kinds_lock guards both tables; the lock of a link is taken
 * inside (link.c), nothing else.
 */
#include <linux/export.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/stddef.h>
#include <linux/string.h>

#include <yoke/interconnect.h>

#define YOKE_SYS_KINDS	8

struct yoke_sys_kind {
	const struct yoke_interconnect *given;	/* names it; NULL: free */
	struct yoke_interconnect ic;		/* a copy of our size */
};

static DEFINE_MUTEX(yoke_sys_kinds_lock);
static struct yoke_sys_kind yoke_sys_kinds[YOKE_SYS_KINDS];
static LIST_HEAD(yoke_sys_links);

/* Has every link of this kind, and of this device if one is named, look for it. The lock is held. */
static void yoke_sys_links_look(const char *kind, const char *device);

/* What the driver knows of the table, zeroes for the rest; false: it knows more than we. */
static bool yoke_sys_kind_copy(struct yoke_interconnect *to,
			       const struct yoke_interconnect *from)
{
	if (from->abi != YOKE_INTERCONNECT_ABI ||
	    from->struct_size < offsetofend(struct yoke_interconnect, send) ||
	    from->struct_size > sizeof(*to))
		return false;
	memset(to, 0, sizeof(*to));
	memcpy(to, from, from->struct_size);
	return true;
}

static bool yoke_sys_kind_complete(const struct yoke_interconnect *ic)
{
	return ic->kind[0] && strnlen(ic->kind, YOKE_KIND_LEN) < YOKE_KIND_LEN &&
	       ic->create && ic->destroy && ic->start && ic->stop &&
	       ic->is_up && ic->generation && ic->min_down_us && ic->post &&
	       ic->post64 && ic->barrier && ic->read64 && ic->ring &&
	       (!(ic->caps & YOKE_IC_MESSAGE) || (ic->send && ic->max_message));
}

int yoke_interconnect_register(const struct yoke_interconnect *given)
{
	struct yoke_sys_kind *place = NULL;
	struct yoke_interconnect ic;
	int i, err = 0;

	if (!given || !yoke_sys_kind_copy(&ic, given) || !yoke_sys_kind_complete(&ic))
		return -EINVAL;

	mutex_lock(&yoke_sys_kinds_lock);
	for (i = 0; i < YOKE_SYS_KINDS && !err; i++) {
		if (!yoke_sys_kinds[i].given)
			place = place ?: &yoke_sys_kinds[i];
		else if (!strcmp(yoke_sys_kinds[i].ic.kind, ic.kind))
			err = -EEXIST;
	}
	if (!err && !place)
		err = -ENOSPC;
	if (!err) {
		place->ic = ic;
		place->given = given;
		yoke_sys_links_look(ic.kind, NULL);
	}
	mutex_unlock(&yoke_sys_kinds_lock);
	return err;
}
EXPORT_SYMBOL_GPL(yoke_interconnect_register);

void yoke_interconnect_unregister(const struct yoke_interconnect *given)
{
	int i;

	mutex_lock(&yoke_sys_kinds_lock);
	for (i = 0; i < YOKE_SYS_KINDS; i++)
		if (yoke_sys_kinds[i].given == given)
			yoke_sys_kinds[i].given = NULL;
	mutex_unlock(&yoke_sys_kinds_lock);
}
EXPORT_SYMBOL_GPL(yoke_interconnect_unregister);

void yoke_interconnect_device(const char *kind, const char *device)
{
	mutex_lock(&yoke_sys_kinds_lock);
	yoke_sys_links_look(kind, device);
	mutex_unlock(&yoke_sys_kinds_lock);
}
EXPORT_SYMBOL_GPL(yoke_interconnect_device);

/* The kind, with a reference on its module; NULL: not there, or going. */
static const struct yoke_interconnect *yoke_sys_kind_get(const char *kind)
{
	const struct yoke_interconnect *found = NULL;
	int i;

	mutex_lock(&yoke_sys_kinds_lock);
	for (i = 0; i < YOKE_SYS_KINDS; i++) {
		if (yoke_sys_kinds[i].given &&
		    !strcmp(yoke_sys_kinds[i].ic.kind, kind) &&
		    try_module_get(yoke_sys_kinds[i].ic.owner))
			found = &yoke_sys_kinds[i].ic;
	}
	mutex_unlock(&yoke_sys_kinds_lock);
	return found;
}
