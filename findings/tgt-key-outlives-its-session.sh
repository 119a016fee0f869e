#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# At tgt, a key that stands in the list of registrations need not be that of the host that finds its key there.
#
# Guess: a host that logs in again under the same name and session id, and finds its key by READ KEYS, is registered; and if
# READ RESERVATION shows that key, it holds the disk.
# Is: a registration belongs to the session in which it was made, and stays in the list when that is over. The host that comes back is
# a stranger: its writes end with RESERVATION CONFLICT (status 24), though the list has its key; if it was the holder, nobody can write
# who is not registered, it can itself not reserve, and a release is GOOD and releases nothing. When it has registered once more
# its key is there twice, and it writes.
#     b is back; keys: a b, held by a
#     b writes: status 24
#     b registers; keys: a b b, held by a
#     b writes: status 0
#     a is back, and registers; keys: a b b a, held by a
#     a releases: status 0; keys: a b b a, held by a
#     a reserves: status 24
#     b preempts a and aborts: status 2, sense 05/2400
#     b preempts a: status 0; keys: b b, held by b
# Why it matters: who reads the table back to see whether it is registered, after a cable was pulled or a controller started again, is
# told yes and can write nothing. Only a write tells. PREEMPT AND ABORT is not known either: what a dead host has under way lands.
# Tried: tgt 1.0.85 and libiscsi 1.19.0 of Debian 12, over loopback. Not tried: other releases.
set -eu
T=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2> /dev/null || :; rm -rf "$T"' EXIT
trap 'exit 1' INT TERM
cd "$T"
fetch() { apt-get -qq -o APT::Sandbox::User=root download tgt libiscsi7 libiscsi-dev librdmacm1 libibverbs1 > /dev/null; }
fetch 2> /dev/null || { apt-get -qq update && fetch; }
command -v gcc > /dev/null || apt-get -qq install -y --no-install-recommends gcc libc6-dev > /dev/null
for package in *.deb; do dpkg-deb -x "$package" root; done
echo "tgt $(dpkg-deb -f tgt_*.deb Version), libiscsi $(dpkg-deb -f libiscsi7_*.deb Version)"
lib=$(dirname "$(find "$T/root" -name 'libiscsi.so.*' | head -n 1)")
cat > hosts.c <<'END'
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static const char *portal;
static unsigned char block[512];

static struct iscsi_context *host(const char *name, int id)
{
	struct iscsi_context *context = iscsi_create_context(name);

	iscsi_set_targetname(context, "iqn.2026-12.example:disk");
	iscsi_set_session_type(context, ISCSI_SESSION_NORMAL);
	iscsi_set_isid_random(context, id, 1);
	if (iscsi_full_connect_sync(context, portal, 1)) {
		fprintf(stderr, "%s\n", iscsi_get_error(context));
		exit(2);
	}
	return context;
}

static struct iscsi_context *again(struct iscsi_context *context, const char *name, int id)
{
	iscsi_logout_sync(context);
	iscsi_destroy_context(context);
	return host(name, id);
}

static void status(struct scsi_task *task)
{
	printf("status %d", task ? task->status : -1);
	if (task && task->status == SCSI_STATUS_CHECK_CONDITION)
		printf(", sense %02x/%04x", task->sense.key, task->sense.ascq);
}

static void out(struct iscsi_context *context, int action, uint64_t key, uint64_t other)
{
	struct scsi_persistent_reserve_out_basic words = { .reservation_key = key, .service_action_reservation_key = other };

	status(iscsi_persistent_reserve_out_sync(context, 1, action, 0, SCSI_PERSISTENT_RESERVE_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY, &words));
}

static void register_(struct iscsi_context *context, uint64_t key)
{
	struct scsi_persistent_reserve_out_basic words = { .service_action_reservation_key = key };

	iscsi_persistent_reserve_out_sync(context, 1, SCSI_PERSISTENT_RESERVE_REGISTER_AND_IGNORE_EXISTING_KEY, 0, 0, &words);
}

static void table(struct iscsi_context *context)
{
	struct scsi_task *task = iscsi_persistent_reserve_in_sync(context, 1, 0, 1024);
	struct scsi_persistent_reserve_in_read_keys *keys = scsi_datain_unmarshall(task);
	struct scsi_persistent_reserve_in_read_reservation *held;

	printf("; keys:");
	for (int i = 0; keys && i < keys->num_keys; i++)
		printf(" %llx", (unsigned long long)keys->keys[i]);
	task = iscsi_persistent_reserve_in_sync(context, 1, 1, 1024);
	held = scsi_datain_unmarshall(task);
	if (held && held->reserved)
		printf(", held by %llx", (unsigned long long)held->reservation_key);
	printf("\n");
}

static void write_(const char *who, struct iscsi_context *context)
{
	printf("%s writes: ", who);
	status(iscsi_write10_sync(context, 1, 0, block, sizeof(block), sizeof(block), 0, 0, 0, 0, 0));
	printf("\n");
}

int main(int count, char **words)
{
	struct iscsi_context *a, *b;

	portal = words[count - 1];
	a = host("iqn.2026-12.example:a", 1);
	b = host("iqn.2026-12.example:b", 2);
	register_(a, 0xa);
	register_(b, 0xb);
	printf("a reserves: ");
	out(a, SCSI_PERSISTENT_RESERVE_RESERVE, 0xa, 0);
	table(b);
	write_("b", b);
	b = again(b, "iqn.2026-12.example:b", 2);
	printf("b is back");
	table(b);
	write_("b", b);
	register_(b, 0xb);
	printf("b registers");
	table(b);
	write_("b", b);
	a = again(a, "iqn.2026-12.example:a", 1);
	write_("a", a);
	register_(a, 0xa);
	printf("a is back, and registers");
	table(a);
	write_("a", a);
	printf("a releases: ");
	out(a, SCSI_PERSISTENT_RESERVE_RELEASE, 0xa, 0);
	table(a);
	printf("a reserves: ");
	out(a, SCSI_PERSISTENT_RESERVE_RESERVE, 0xa, 0);
	printf("\nb preempts a and aborts: ");
	out(b, SCSI_PERSISTENT_RESERVE_PREEMPT_AND_ABORT, 0xb, 0xa);
	printf("\nb preempts a: ");
	out(b, SCSI_PERSISTENT_RESERVE_PREEMPT, 0xb, 0xa);
	table(b);
	return 0;
}
END
gcc -I"$(find "$T/root" -path '*include/iscsi' | head -n 1)/.." -o hosts hosts.c "$(find "$lib" -name 'libiscsi.so.*' | head -n 1)"
export LD_LIBRARY_PATH="$lib" TGT_IPC_SOCKET="$T/control"
# Nobody else's server answers at this port: the process's number makes it.
portal=127.0.0.1:$((20000 + $$ % 20000))
root/usr/sbin/tgtd -f -C 1 --iscsi "portal=$portal" > server.log 2>&1 &
server=$!
admin() { root/usr/sbin/tgtadm -C 1 --lld iscsi "$@"; }
tries=0
until admin --op new --mode target --tid 1 -T iqn.2026-12.example:disk 2> /dev/null; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || { cat server.log; exit 1; }
    sleep 0.1
done
truncate -s 8M disk
admin --op new --mode logicalunit --tid 1 --lun 1 -b "$T/disk"
admin --op bind --mode target --tid 1 -I ALL
timeout 60 ./hosts "$portal" > said || { cat said server.log; exit 1; }
cat said
cat > wanted <<'END'
a reserves: status 0; keys: a b, held by a
b writes: status 0
b is back; keys: a b, held by a
b writes: status 24
b registers; keys: a b b, held by a
b writes: status 0
a writes: status 24
a is back, and registers; keys: a b b a, held by a
a writes: status 0
a releases: status 0; keys: a b b a, held by a
a reserves: status 24
b preempts a and aborts: status 2, sense 05/2400
b preempts a: status 0; keys: b b, held by b
END
if cmp -s said wanted; then
    echo "as found"
else
    echo "changed"
    exit 1
fi
