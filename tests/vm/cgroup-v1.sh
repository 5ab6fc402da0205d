#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
# vm: mem=768 cgroup=v1
#
# A machine with version 1 of cgroups only: the main job runs, the accounting is
# machine-wide, and the tools say so.

# shellcheck source=tests/harness/guest.sh
. /vm/guest.sh
sys=/sys/kernel/tmk

result() {
	if [ "$2" = 0 ]; then
		echo "ok $1"
	else
		echo "not ok $1"
		failed=1
	fi
}

# One without controllers: newer kernels come without those of version 1.
mkdir -p /tmp/v1
mount -t cgroup -o none,name=test none /tmp/v1
mkdir /tmp/v1/team

plan 4
tmkctl doctor >/tmp/doctor
grep -q '^limited  cgroup .*version 1 only: accounting and limits are machine-wide only$' \
	/tmp/doctor && grep -q '^ok       backend-dev ' /tmp/doctor
ok=$?
[ $ok = 0 ] || sed 's/^/# /' /tmp/doctor
result "1 doctor_says_machine_wide" $ok

sh -c "echo 0 >/tmp/v1/team/tasks; exec digits --epochs 2 --hold 100 \
	--data /usr/share/tmk/digits.csv.gz" >/tmp/out 2>&1 &
pid=$!
i=0
while ! grep -q ^holding /tmp/out && [ $i -lt 100 ]; do
	sleep 1
	i=$((i + 1))
done
tmkctl >/tmp/status
[ "$(cat $sys/current)" = 6291456 ] && grep -q '^  all bytes *6\.0 MiB' /tmp/status &&
	grep -q '^No cgroup holds memory or has a limit\.$' /tmp/status
ok=$?
[ $ok = 0 ] || cat /tmp/out /tmp/status | sed 's/^/# /'
result "2 charged_to_the_machine" $ok
kill $pid
wait $pid
result "3 ends_in_order" $?

# The machine's own limit holds as ever.
tmkctl limit set / max=3M >/dev/null
digits --quiet --data /usr/share/tmk/digits.csv.gz >/tmp/out 2>&1
[ $? = 1 ] && grep -q 'may use 3\.0 MiB' /tmp/out && [ "$(cat $sys/current)" = 0 ]
ok=$?
[ $ok = 0 ] || sed 's/^/# /' /tmp/out
result "4 machine_limit" $ok
tmkctl limit set / max=max >/dev/null
exit "$failed"
