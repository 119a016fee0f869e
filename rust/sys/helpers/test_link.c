// SPDX-License-Identifier: GPL-2.0
/*
 * For KUnit suites: a kind of link, `kunit`, whose two ends `a` and `b` are
 * memory of this kernel. Posts arrive at once. The device of an end can be taken
 * away and given back, at chosen moments. Hot calls come within RCU (see link.c),
 * so a window is freed a grace period after it was withdrawn.
 */
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>

#include <yoke/interconnect.h>

#define YOKE_TEST_WINDOW	65536

static struct yoke_test_end {
	struct yoke_link *link;
	u8 *window;
	size_t size;		/* of the window; 0: YOKE_TEST_WINDOW */
	u64 downs;
	bool away;		/* there is no device */
	bool goes;		/* it is taken away inside of the next start() */
	bool flaps;		/* the link does, inside of the next read64() */
	u32 fails;		/* so many posts from now one fails; 0: none */
	u32 prepared;
} yoke_test_ends[2];

static struct yoke_test_end *yoke_test_peer(struct yoke_test_end *end)
{
	return &yoke_test_ends[end == &yoke_test_ends[0]];
}

static int yoke_test_create(struct yoke_link *link, const char *device,
			    void **priv)
{
	struct yoke_test_end *end;

	if (strcmp(device, "a") && strcmp(device, "b"))
		return -ENODEV;
	end = &yoke_test_ends[device[0] == 'b'];
	if (end->away)
		return -ENODEV;
	if (end->link)
		return -EBUSY;
	end->link = link;
	end->downs = 0;
	*priv = end;
	return 0;
}

static void yoke_test_destroy(void *priv)
{
	struct yoke_test_end *end = priv;

	end->link = NULL;
}

static bool yoke_test_is_up(void *priv)
{
	struct yoke_test_end *end = priv;

	return READ_ONCE(end->window) &&
	       READ_ONCE(yoke_test_peer(end)->window);
}

static int yoke_test_start(void *priv, struct yoke_window *window)
{
	struct yoke_test_end *end = priv;

	window->in = kzalloc(YOKE_TEST_WINDOW, GFP_KERNEL);
	if (!window->in)
		return -ENOMEM;
	WRITE_ONCE(end->window, window->in);
	window->in_size = end->size ?: YOKE_TEST_WINDOW;
	window->out_size = YOKE_TEST_WINDOW;
	if (yoke_test_is_up(end)) {
		yoke_link_changed(end->link);
		yoke_link_changed(yoke_test_peer(end)->link);
	}
	if (end->goes) {
		end->goes = false;
		end->away = true;
		yoke_link_gone(end->link);
	}
	return 0;
}

static void yoke_test_prepare(void *priv)
{
	struct yoke_test_end *end = priv;

	end->prepared++;
}

static void yoke_test_stop(void *priv)
{
	struct yoke_test_end *end = priv;
	struct yoke_test_end *peer = yoke_test_peer(end);

	u8 *window = end->window;

	WRITE_ONCE(end->window, NULL);
	synchronize_rcu();
	kfree(window);
	peer->downs++;
	if (peer->window)
		yoke_link_changed(peer->link);
}

static u64 yoke_test_generation(void *priv)
{
	struct yoke_test_end *end = priv;

	return end->downs;
}

static u32 yoke_test_min_down_us(void *priv)
{
	return 1000;
}

static u8 *yoke_test_at(struct yoke_test_end *end, u64 offset, u64 len)
{
	u8 *window = READ_ONCE(yoke_test_peer(end)->window);

	if (!window || len > YOKE_TEST_WINDOW || offset > YOKE_TEST_WINDOW - len)
		return NULL;
	return window + offset;
}

static int yoke_test_post(void *priv, u64 offset, const void *src, u64 len)
{
	struct yoke_test_end *end = priv;
	u8 *to = yoke_test_at(end, offset, len);

	if (!yoke_test_is_up(end))
		return -ENOTCONN;
	if (!to)
		return -ERANGE;
	if (end->fails && !--end->fails)
		return -EIO;
	memcpy(to, src, len);
	return 0;
}

static int yoke_test_post64(void *priv, u64 offset, u64 value)
{
	__le64 word = cpu_to_le64(value);

	return yoke_test_post(priv, offset, &word, sizeof(word));
}

static void yoke_test_barrier(void *priv)
{
	smp_wmb();
}

static u64 yoke_test_read64(void *priv, u64 offset, u64 *generation)
{
	struct yoke_test_end *end = priv;
	u8 *from = yoke_test_at(end, offset, 8);
	u64 value = U64_MAX;

	if (yoke_test_is_up(end) && from)
		value = le64_to_cpup((__le64 *)from);
	if (end->flaps)
		end->downs++;
	end->flaps = false;
	*generation = end->downs;
	return value;
}

static void yoke_test_ring(void *priv)
{
	if (yoke_test_is_up(priv))
		yoke_link_doorbell(yoke_test_peer(priv)->link);
}

static int yoke_test_send(void *priv, const void *message, u32 len)
{
	if (!yoke_test_is_up(priv))
		return -ENOTCONN;
	yoke_link_message(yoke_test_peer(priv)->link, message, len);
	return 0;
}

static struct yoke_interconnect yoke_test_kind = {
	.abi = YOKE_INTERCONNECT_ABI,
	.struct_size = sizeof(struct yoke_interconnect),
	.caps = YOKE_IC_WINDOW | YOKE_IC_READ_BACK | YOKE_IC_MESSAGE,
	.max_message = 64,
	.kind = "kunit",
	.owner = THIS_MODULE,
	.create = yoke_test_create,
	.destroy = yoke_test_destroy,
	.start = yoke_test_start,
	.stop = yoke_test_stop,
	.prepare = yoke_test_prepare,
	.is_up = yoke_test_is_up,
	.generation = yoke_test_generation,
	.min_down_us = yoke_test_min_down_us,
	.post = yoke_test_post,
	.post64 = yoke_test_post64,
	.barrier = yoke_test_barrier,
	.read64 = yoke_test_read64,
	.ring = yoke_test_ring,
	.send = yoke_test_send,
};

static int yoke_test_refused(const struct yoke_interconnect *bad)
{
	return yoke_interconnect_register(bad) == -EINVAL ? 0 : -EIO;
}

/* 0: the kind can be registered once, and nonsense not at all. */
int yoke_sys_test_link_register(void)
{
	struct yoke_interconnect bad = yoke_test_kind;
	int err;

	memset(yoke_test_ends, 0, sizeof(yoke_test_ends));
	bad.abi = 0;
	err = yoke_test_refused(&bad);
	bad = yoke_test_kind;
	bad.struct_size = sizeof(bad) + 8;
	err = err ?: yoke_test_refused(&bad);
	bad.struct_size = offsetof(struct yoke_interconnect, send);
	err = err ?: yoke_test_refused(&bad);
	bad = yoke_test_kind;
	bad.ring = NULL;
	err = err ?: yoke_test_refused(&bad);
	memset(&bad.kind, 'x', sizeof(bad.kind));
	err = err ?: yoke_test_refused(&bad);
	if (err || yoke_interconnect_register(&yoke_test_kind))
		return -EIO;
	return yoke_interconnect_register(&yoke_test_kind) == -EEXIST ? 0 : -EIO;
}

void yoke_sys_test_link_unregister(void)
{
	yoke_interconnect_unregister(&yoke_test_kind);
}

/* The device of end `a` is taken away. */
void yoke_sys_test_link_gone(void)
{
	struct yoke_test_end *end = &yoke_test_ends[0];

	end->away = true;
	if (end->link)
		yoke_link_gone(end->link);
}

/* It is there again, with a window of @size bytes (0: the usual). */
void yoke_sys_test_link_back(size_t size)
{
	yoke_test_ends[0].away = false;
	yoke_test_ends[0].size = size;
	yoke_interconnect_device("kunit", "a");
}

/* It will go in the middle of the next start(). */
void yoke_sys_test_link_goes(void)
{
	yoke_test_ends[0].goes = true;
}

/* The link of end `a` will flap while the next fence reads. */
void yoke_sys_test_link_flaps(void)
{
	yoke_test_ends[0].flaps = true;
}

/* Of end `a` the post that comes as the @nth from now fails, with the link up. */
void yoke_sys_test_link_fails(u32 nth)
{
	yoke_test_ends[0].fails = nth;
}

/* Has end `a` prepared. */
void yoke_sys_test_link_prepare(void)
{
	yoke_link_prepare(yoke_test_ends[0].link);
}

/* How often it was. */
u32 yoke_sys_test_link_prepared(void)
{
	return READ_ONCE(yoke_test_ends[0].prepared);
}
