#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
# vm: mem=768
#
# tmkctl against the real module: limits arrive, status says what sysfs says,
# and each error of the kernel becomes a sentence.
# Tests are called by name; no path here has blanks but the one in quotes.
# shellcheck disable=SC2317,SC2086

cg=/sys/fs/cgroup
sys=/sys/kernel/tmk
# shellcheck source=tests/harness/guest.sh
. /vm/guest.sh

# check NAME COMMAND...: one test
# fails STATUS PATTERN COMMAND...: it fails like this, with one sentence
fails() {
	want=$1 pattern=$2
	shift 2
	rc=0
	said=$("$@" 2>&1) || rc=$?
	echo "$said (status $rc)"
	[ $rc = "$want" ] && [ "$(echo "$said" | wc -l)" = 1 ] &&
		echo "$said" | grep -qE "$pattern"
}

prints() {
	pattern=$1
	shift
	said=$("$@") || return 1
	echo "$said"
	echo "$said" | grep -qE "$pattern"
}

# The directory of a group's limits is named by the inode of its directory.
dir_of() { echo "$sys/cgroups/$(stat -c %i "$1")"; }

limits_are() { [ "$(cat "$(dir_of "$1")/max") $(cat "$(dir_of "$1")/physical_max")" = "$2" ]; }

set_by_path() {
	tmkctl limit set /a max=64M physical_max=32M && limits_are $cg/a "67108864 33554432" &&
		tmkctl limit set a/deep max=1G && limits_are $cg/a/deep "1073741824 max" &&
		tmkctl limit set "$cg/b c" physical_max=4096 && limits_are "$cg/b c" "max 4096"
}

set_again() {
	tmkctl limit set /a max=128M && limits_are $cg/a "134217728 33554432" &&
		tmkctl limit set /a max=max physical_max=0 && limits_are $cg/a "max 0"
}

set_machine() {
	tmkctl limit set / max=512M && [ "$(cat $sys/max)" = 536870912 ] &&
		tmkctl limit set / max=max && [ "$(cat $sys/max)" = max ]
}

gone_when_lifted() {
	d=$(dir_of $cg/a/deep)
	tmkctl limit set /a/deep max=max && [ ! -e "$d" ]
}

as_nobody() { su -s /bin/sh nobody -c "PATH=$PATH; $*"; }

# While a process of the group holds memory, status and sysfs agree.
held() {
	mkdir $cg/held
	sh -c "echo 0 >$cg/held/cgroup.procs; exec digits --epochs 1 --hold 100 \
		--data /usr/share/tmk/digits.csv.gz" >/tmp/held 2>&1 &
	pid=$!
	i=0
	while ! grep -q ^holding /tmp/held && [ $i -lt 100 ]; do
		sleep 1
		i=$((i + 1))
	done
	cat /tmp/held
	prints '^/held +6M +max +- +6M +6M +max +0  huge 6M$' tmkctl &&
		prints '"path":"/held","online":true,"current":6291456,' tmkctl --json &&
		prints '^  all bytes +6\.0 MiB' tmkctl &&
		[ "$(cat $sys/current)" = 6291456 ]
	ok=$?
	kill $pid && wait $pid && [ $ok = 0 ] && prints '^  all bytes +0 B' tmkctl
}

# What the kernel refuses is counted, and shown at the group that refused.
refused() {
	mkdir $cg/small
	tmkctl limit set small max=1M || return 1
	fails 1 'cgroup /small may use 1\.0 MiB' sh -c "echo 0 >$cg/small/cgroup.procs
		exec digits --quiet --data /usr/share/tmk/digits.csv.gz" || return 1
	prints '^/small +0 +1M .* [1-9][0-9]*  -$' tmkctl
}

mkdir $cg/a $cg/a/deep "$cg/b c"
plan 13
check set_by_path set_by_path
check set_again set_again
check set_machine set_machine
check get prints '^  physical_max +0 B +in use +0 B$' tmkctl limit get a
check get_without_limits prints '^  max +max +in use +0 B$' tmkctl limit get /
check gone_when_lifted gone_when_lifted
check no_such_group fails 1 'there is no such cgroup$' tmkctl limit set /nobody max=1M
check get_no_such_group fails 1 'there is no cgroup /nobody$' tmkctl limit get /nobody
check no_permission fails 1 'no permission, it needs CAP_SYS_RESOURCE' \
	as_nobody tmkctl limit set /a max=1M
check no_permission_by_control fails 1 'no permission, it needs CAP_SYS_RESOURCE' \
	as_nobody tmkctl limit set /a/deep max=1M
check held held
check refused refused
check doctor prints '^The main job can run here, on backend-dev\.$' tmkctl doctor
exit "$failed"
