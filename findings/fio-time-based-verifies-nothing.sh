#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# fio with verify= and a run time that ends the writes verifies nothing, and exits with 0.
#
# Guess: `--rw=randwrite --verify=crc32c --time_based --runtime=3` writes for three seconds, then reads back what it wrote.
# Is: the run time counts for the verify phase too. It has passed when that phase begins, so no block is read: `read` in
# the report has 0 commands, `error` is 0, the exit status is 0. The same without --time_based, when the run time is over
# before the whole range is written. Without a run time, every block is read.
# Why it matters: trials that kill a controller run fio for a time. Such a run is green whatever the volume lost. Verify in a
# second run of fio without a run time, and refuse a report whose count of reads is not the count of blocks.
# Tried: fio 3.33 (Debian 12), 3.39 (Debian 13).
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
trap 'exit 1' INT TERM
cd "$T"
for want in fio:fio python3:python3; do
    command -v "${want%:*}" > /dev/null || apt-get -qq install -y --no-install-recommends "${want#*:}" > /dev/null
done
fio --version

# $1: name; the rest: options. Prints writes and reads, and fails where fio does.
run() {
    name=$1
    shift
    truncate -s 16m data
    fio --name="$name" --filename=data --size=16m --bs=4k --rw=randwrite --verify=crc32c --ioengine=psync \
        --output-format=json --output="$name.json" "$@"
    python3 - "$name" << 'END'
import json, sys

text = open(sys.argv[1] + ".json").read()
job = json.loads(text[text.index("{"):])["jobs"][0]
print(f"{sys.argv[1]}: error {job['error']}, {job['write']['total_ios']} writes, {job['read']['total_ios']} reads")
open(sys.argv[1] + ".reads", "w").write(str(job["read"]["total_ios"]))
END
    rm data
}

run whole
run timed --time_based --runtime=3
run short --runtime=2 --rate_iops=200
if [ "$(cat whole.reads)" = 4096 ] && [ "$(cat timed.reads)" = 0 ] && [ "$(cat short.reads)" = 0 ]; then
    echo "as found: a run that ends by time verifies nothing, and is content"
else
    echo "changed: a run that ends by time verifies"
    exit 1
fi
