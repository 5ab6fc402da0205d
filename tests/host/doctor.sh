#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
#
# tmkctl doctor, here and on made-up machines.
# Tests are called by name.
# shellcheck disable=SC2317
# shellcheck source=tests/harness/ktap.sh
. "$(dirname "$0")/../harness/ktap.sh"

# What is compared must not depend on who runs it.
export LC_ALL=C
unset NO_COLOR TMK_SYSFS TMK_BACKEND TMK_MAX_BYTES TMK_MAX_PHYSICAL_BYTES TMK_INITIAL_BYTES

# put FILE TEXT...: a file with these lines
put() {
	mkdir -p "$(dirname "$1")"
	printf '%s\n' "${@:2}" >"$1"
}

test_here() {
	run "$B/tools/tmkctl" doctor
	expect_rc 0
	expect_out '^The main job can run here, on backend-'
	for check in kernel module device backend-dev backend-user room huge-pages \
		huge-shmem hugetlb memlock cgroup memory-controller io_uring cuda numa; do
		expect_out "^(ok|limited|missing) +$check "
	done
	# Everything that is not ok says what to do.
	python3 - "$TMP/out" <<-'END'
		import sys
		lines = open(sys.argv[1]).read().splitlines()
		for line, after in zip(lines, lines[1:]):
		    bad = line.startswith(("limited", "missing"))
		    assert bad == after.lstrip().startswith("-> "), line
	END
	run "$B/tools/tmkctl" doctor --json
	expect_rc 0
	expect_json 'j["version"] == 1 and j["ok"] is True and len(j["checks"]) == 15'
	expect_json 'all((c["advice"] is None) == (c["state"] == "ok") for c in j["checks"])'
}

test_no_backend() {
	TMK_MAX_BYTES=1M run "$B/tools/tmkctl" doctor
	expect_rc 1
	expect_out '^The main job cannot run here'
	expect_out '^limited +room +1\.0 MiB \(process max of TMK_MAX_BYTES: 0 B of 1\.0 MiB in use\)'
	TMK_MAX_BYTES=junk run "$B/tools/tmkctl" doctor --json
	expect_rc 1
	expect_json 'j["ok"] is False'
	expect_json '[c["state"] for c in j["checks"] if c["name"] == "room"] == ["missing"]'
}

# machine: a made-up one with everything in order
machine() {
	local m=$TMP/machine

	put "$m/proc/sys/kernel/osrelease" 6.12.30-amd64
	put "$m/sys/kernel/mm/transparent_hugepage/enabled" "always [madvise] never"
	put "$m/sys/kernel/mm/transparent_hugepage/defrag" "always defer [madvise] never"
	put "$m/sys/kernel/mm/transparent_hugepage/shmem_enabled" "always [advise] never deny"
	put "$m/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages" 64
	put "$m/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages" 60
	put "$m/proc/self/mounts" "none /sys/fs/cgroup cgroup2 rw 0 0"
	put "$m/proc/self/cgroup" "0::/user.slice"
	put "$m/proc/self/status" "Name: x" "CapEff:	000001ffffffffff"
	put "$m/sys/fs/cgroup/cgroup.controllers" "cpuset cpu io memory pids"
	put "$m/proc/sys/kernel/io_uring_disabled" 0
	put "$m/usr/lib/x86_64-linux-gnu/libcuda.so.1" ""
	put "$m/dev/nvidiactl" ""
	put "$m/dev/tmk" ""
	mkdir -p "$m/sys/devices/system/node/node0" "$m/sys/devices/system/node/node1"
	put "$m/sys/kernel/tmk/version" 0.1.0
	put "$m/sys/kernel/tmk/populate" own
}

doctor() {
	run "$B/tools/tmkctl" doctor --root "$TMP/machine"
	expect_rc 0
}

test_a_good_machine() {
	machine
	doctor
	expect_out '^ok +kernel +Linux 6\.12\.30-amd64, in the range'
	expect_out '^ok +module +version 0\.1\.0, populate=own$'
	expect_out '^ok +device '
	expect_out '^ok +huge-pages +enabled=madvise, defrag=madvise$'
	expect_out '^ok +huge-shmem +shmem_enabled=advise '
	expect_out '^ok +hugetlb +2 MiB: 64 pages, 60 free; 1 GiB: 0 pages, 0 free$'
	expect_out '^ok +memlock '
	expect_out '^ok +cgroup +version 2 at /sys/fs/cgroup, this process is in /user\.slice$'
	expect_out '^ok +memory-controller '
	expect_out '^ok +cuda .*nothing was run'
	expect_out '^ok +numa +2 nodes$'
}

test_other_machines() {
	local m=$TMP/machine

	machine
	put "$m/proc/sys/kernel/osrelease" 5.10.0-30-amd64
	put "$m/proc/self/mounts" "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0"
	put "$m/sys/kernel/tmk/version" 0.0.9
	put "$m/sys/kernel/mm/transparent_hugepage/enabled" "always madvise [never]"
	put "$m/sys/kernel/mm/transparent_hugepage/shmem_enabled" "always advise never [deny]"
	put "$m/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages" 0
	rm "$m/dev/nvidiactl" "$m/dev/tmk"
	doctor
	expect_out '^limited +kernel +Linux 5\.10\.0-30-amd64; the module is tested on 6\.1 to 6\.12$'
	expect_out 'the module needs Linux 6\.1 or newer'
	expect_out '^limited +module +version 0\.0\.9 is loaded, this is tmkctl '
	expect_out '^missing +device +there is no '
	expect_out '^limited +huge-pages +enabled=never'
	expect_out '^missing +huge-shmem +shmem_enabled=deny'
	expect_out '^missing +hugetlb +the pools are empty$'
	expect_out '^limited +cgroup +version 1 only: accounting and limits are machine-wide only$'
	expect_out '^missing +memory-controller '
	expect_out '^limited +cuda '

	put "$m/proc/self/mounts" "a /sys/fs/cgroup/memory cgroup rw 0 0" \
		"b /sys/fs/cgroup/unified cgroup2 rw 0 0"
	put "$m/proc/sys/kernel/osrelease" 6.19.1
	rm "$m/usr/lib/x86_64-linux-gnu/libcuda.so.1"
	put "$m/sys/kernel/mm/transparent_hugepage/shmem_enabled" "always advise [never] deny"
	doctor
	expect_out '^limited +kernel +Linux 6\.19\.1;'
	expect_out 'untested here'
	expect_out '^limited +cgroup +hybrid: .*machine-wide only$'
	expect_out '^ok +huge-shmem +shmem_enabled=never '
	expect_out '^missing +cuda +no libcuda\.so\.1 was found \(nothing was run\)$'

	rm -r "$m"
	doctor
	expect_out '^missing +module '
	expect_out '^limited +cgroup +no cgroup file system is mounted'
	expect_out '^missing +huge-pages '
	expect_out '^missing +hugetlb +this kernel has no hugetlb pools$'
}

# As an ordinary user, whose memory that may be locked is limited.
test_memlock() {
	machine
	put "$TMP/machine/proc/self/status" "Name: x" "CapEff:	0000000000000000"
	run bash -c "ulimit -l 8192 && exec $B/tools/tmkctl doctor --root $TMP/machine"
	expect_out '^limited +memlock +RLIMIT_MEMLOCK: 8\.0 MiB of pinned memory'
}

ktap_main
