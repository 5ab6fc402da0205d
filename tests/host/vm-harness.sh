#!/bin/bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
# needs: kernels
#
# The test machines themselves: what goes in arrives, what comes out is true, and
# nothing that the kernel says against us goes unseen.
# Tests are called by name.
# shellcheck disable=SC2317
# shellcheck source=tests/harness/ktap.sh
. "$(dirname "$0")/../harness/ktap.sh"

export LC_ALL=C
unset TMK_VM_ACCEL

vm() { run "$TOP/tests/qemu/vm" "$@"; }

# Python that may use klog; fails if an assertion does.
klog() {
	(cd "$TOP/tests/qemu" && python3 -B -c "import klog
$1")
}

# A machine that is running has this word in its command line.
running() { pgrep -f -- "$1" >/dev/null; }

gone() {
	local i

	for i in {1..50}; do
		running "$1" || return 0
		sleep 0.1
	done
	fail "machine still there after $i looks"
}

test_options_arrive() {
	echo "in a file" >"$TMP/file"
	# shellcheck disable=SC2016 # the guest's variables
	vm --kernel 6.12 --cpus 2 --mem 768 --numa 2 --swap 48 --hugepages 3 \
		--disk 16 --disk 32:ext4 --disk 320:xfs --cmdline tmk.word=1 \
		--param max=64M --env 'WORDS=two words' --modprobe brd \
		--file "$TMP/file:/etc/file" --file /usr/bin/sort -- sh -c '
			echo "env $WORDS"
			cat /etc/file
			printf "b\na\n" | sort --debug 2>&1 | grep -c text
			grep -c ^processor /proc/cpuinfo
			ls -1d /sys/devices/system/node/node1 /dev/ram0
			mount | sed -n "s/^.dev.vd\(.* type [a-z0-9]*\).*/\1/p"
			sed -n "s/^.dev.vd\(.\).*/swap \1/p" /proc/swaps
			sed -n "s/^HugePages_Total: */hugepages /p" /proc/meminfo
			tr " " "\n" </proc/cmdline | grep tmk.word
			cat /sys/kernel/tmk/max /sys/fs/cgroup/cgroup.subtree_control
			exit 7'
	expect_rc 7
	expect_out '^env two words$'
	expect_out '^in a file$'
	expect_out '^2$'
	expect_out '^/sys/devices/system/node/node1$'
	expect_out '^/dev/ram0$'
	expect_out '^b on /mnt/1 type ext4$'
	expect_out '^c on /mnt/2 type xfs$'
	expect_out '^swap d$'
	expect_out '^hugepages 3$'
	expect_out '^tmk.word=1$'
	expect_out '^67108864$'
	expect_out '\bmemory\b.*\bpids\b'
}

test_complaint_is_a_failure_and_named() {
	local name

	printf '#!/bin/sh\necho "1..1"\necho "ok 1 fine"\n' >"$TMP/1-fine"
	printf '#!/bin/sh\necho "WARNING: made up" >/dev/kmsg\n' >"$TMP/2-guilty"
	printf '#!/bin/sh\necho no newline; exit 3\n' >"$TMP/3-fails"
	printf '#!/bin/sh\nsleep 100\n' >"$TMP/4-hangs"
	printf '#!/bin/sh\n! pidof sleep\n' >"$TMP/5-alone"
	chmod +x "$TMP"/?-*
	vm --kernel 6.1 --each 2 --log "$TMP/log" --batch "$TMP/1-fine" --batch "$TMP/2-guilty"
	expect_rc 123
	expect_out '^vm: the kernel complained during 2-guilty:$'
	expect_out 'WARNING: made up$'
	expect_out '^@@@ begin 1-fine$'
	expect_out '^@@@ end 1-fine 0 [0-9]+$'
	vm --kernel 6.1 --each 2 --batch "$TMP/3-fails" --batch "$TMP/4-hangs" \
		--batch "$TMP/5-alone"
	expect_rc 1
	expect_out '^@@@ end 3-fails 3 [0-9]+$'
	expect_out '^@@@ end 4-hangs 137 [0-9]+$'
	expect_out '^@@@ end 5-alone 0 [0-9]+$'
	for name in 3-fails 4-hangs; do
		expect_no_out "complained during $name"
	done
}

test_panic_is_a_failure() {
	vm --kernel 6.12 -- sh -c 'echo before; echo c >/proc/sysrq-trigger'
	expect_rc 125
	expect_out '^before$'
	expect_out '^vm: the machine ended early'
	expect_out 'Kernel panic - not syncing: sysrq triggered crash'
}

test_module_that_cannot_go() {
	vm --kernel 6.12 -- sh -c 'sleep 1000 </dev/tmk >/dev/null 2>&1 & sleep 1'
	expect_rc 126
	expect_out 'tmk.*(temporarily unavailable|in use)'
}

test_module_that_cannot_come() {
	vm --kernel 6.1 --param populate=junk -- echo "not reached"
	expect_rc 125
	expect_out "^insmod: can't insert"
	expect_out 'tmk: populate=junk is none of own, shmem, auto'
	expect_no_out 'not reached'
}

test_time_limit() {
	local mark=tmk.mark=$BASHPID

	vm --kernel 6.1 --timeout 4 --cmdline "$mark" -- sleep 1000
	expect_rc 124
	expect_out '^vm: the time limit of 4 s was reached'
	gone "$mark"
}

test_ends_with_its_parent() {
	local mark=tmk.mark=$BASHPID pid i

	"$TOP/tests/qemu/vm" --kernel 6.1 --cmdline "$mark" -- sleep 1000 >/dev/null 2>&1 &
	pid=$!
	for i in {1..100}; do
		! pgrep -P "$pid" qemu-system >/dev/null || break
		sleep 0.1
	done
	[ "$i" != 100 ] || fail "no machine came up"
	kill -KILL "$pid"
	gone "$mark"
}

test_shell() {
	local out pid

	mkfifo "$TMP/in"
	"$TOP/tests/qemu/vm" --interactive --kernel 6.12 <"$TMP/in" >"$TMP/out" 2>&1 &
	pid=$!
	exec 5>"$TMP/in"
	for _ in {1..600}; do
		! grep -q '# ' "$TMP/out" || break
		sleep 0.1
	done
	# In the answer the words are together, in the echo of the question not.
	# shellcheck disable=SC2016 # the guest's shell expands it
	echo 'echo sum$((40 + 2)); cat /sys/kernel/tmk/version; exit 5' >&5
	out=0
	wait "$pid" || out=$?
	exec 5>&-
	cat "$TMP/out"
	grep -q '^sum42' "$TMP/out" || fail "the shell does not answer"
	grep -q '^[0-9]*\.[0-9]*\.[0-9]*' "$TMP/out" || fail "no module"
	[ "$out" = 5 ] || fail "status $out"
}

test_wrong_calls() {
	vm --kernel 5.99 -- true
	expect_rc 125
	expect_one_sentence
	expect_err 'no kernel 5.99 in build/kernels: run scripts/get-kernels$'
	vm --file "$TMP/none" -- true
	expect_rc 125
	expect_one_sentence
	vm --module "$TMP/none.ko" -- true
	expect_rc 125
	expect_one_sentence
	vm --disk 16:zfs -- true
	expect_rc 125
	expect_one_sentence
	vm
	expect_rc 2
}

# A stand-in for QEMU: dies before /init until the last time, then comes up.
test_a_kernel_that_dies_while_it_boots() {
	mkdir "$TMP/bin"
	cat >"$TMP/bin/qemu-system-x86_64" <<-'EOF'
		#!/bin/bash
		log=$(printf '%s\n' "$@" | sed -n 's/^file,id=log,path=//p')
		echo x >>"${0%/bin/*}/boots"
		echo "[    1.000000] Oops: double fault: 0000 [#1]" >"$log"
		[ "$(wc -l <"${0%/bin/*}/boots")" = "$DIES" ] || exit 0
		cat >"$log" <<-'LOG'
			[    2.000000] Run /init as init process
			[    2.100000] vm: begin
			[    2.200000] vm: exit 0
		LOG
	EOF
	chmod +x "$TMP/bin/qemu-system-x86_64"
	export DIES=3 PATH=$TMP/bin:$PATH
	vm --kernel 6.12 -- true
	expect_rc 0
	[ "$(wc -l <"$TMP/boots")" = 3 ]
	rm "$TMP/boots"
	DIES=4
	vm --kernel 6.12 -- true
	expect_rc 125
	expect_out 'double fault'
	[ "$(wc -l <"$TMP/boots")" = 3 ]
}

test_what_is_the_emulators_fault() {
	klog '
assert klog.patched_badly(["[   70.303957] Oops: int3: 0000 [#1] PREEMPT SMP NOPTI"])
assert not klog.patched_badly(["[   70.303957] Oops: 0000 [#1] PREEMPT SMP NOPTI", "int3"])
assert klog.reached_init(["[    7.012577] Run /init as init process"])
assert not klog.reached_init(["[    7.012577] Oops: double fault: 0000 [#1]"])
'
}

test_what_counts_as_a_complaint() {
	klog '
bad = """
WARNING: CPU: 0 PID: 1 at mm/x.c:1 f+0x1/0x2 [tmk]
BUG: kernel NULL pointer dereference, address: 0
kernel BUG at mm/x.c:1!
Oops: 0000 [#1] PREEMPT SMP
general protection fault, probably for non-canonical address
general protection fault: 0000 [#1]
WARNING: possible circular locking dependency detected
possible recursive locking detected
INFO: task x:1 blocked for more than 120 seconds.
rcu: INFO: rcu_preempt self-detected stall on CPU
watchdog: BUG: soft lockup - CPU#0 stuck for 22s!
refcount_t: underflow; use-after-free.
BUG: KASAN: use-after-free in f+0x1
BUG: Bad page state in process x
x: page allocation failure: order:9
x invoked oom-killer: gfp_mask=0xcc0
BUG: sleeping function called from invalid context
list_del corruption, 1->next is LIST_POISON1
""".strip().splitlines()
for line in bad:
    assert klog.complaints(["[    1.0] " + line]), line
good = """
traps: digits[165] trap invalid opcode ip:7fc sp:7ff error:0 in x
traps: digits[165] general protection fault ip:7fc sp:7ff error:0 in x
AMD-Vi: this is not a bug, BUG: none
tmk: loading out-of-tree module taints kernel.
""".strip().splitlines()
for line in good:
    assert not klog.complaints(["[    1.0] " + line]), line
'
}

test_blocks_belong_together() {
	klog '
block = """[ cut here ]
WARNING: CPU: 1 PID: 0 at arch/x86/kernel/smpboot.c:436 topology_sane.isra.0+0x6c/0x80
Call Trace:
---[ end trace 0000000000000000 ]---""".splitlines()
assert not klog.complaints(block)
other = [line.replace("topology_sane", "ours") for line in block]
found = klog.complaints(["before"] + block + other + ["after"])
assert found == [other], found
assert len(klog.complaints(other[:3])) == 1
'
}

test_log_of_a_batch() {
	klog '
log = """[ 1.0] boot
[ 1.1] vm: program a
[ 1.2] said by a
[ 1.3] vm: program b
[ 1.4] said by b
[ 1.5] vm: end of programs
[ 1.6] vm: unloading tmk
[ 1.7] vm: tmk unloaded
[ 1.8] vm: exit 3""".splitlines()
parts = klog.by_program(log)
assert parts["a"][1:] == ["[ 1.2] said by a"] and parts["b"][1:] == ["[ 1.4] said by b"]
assert parts[None][0] == "[ 1.0] boot" and len(parts[None]) == 5
assert klog.exit_status(log) == 3 and klog.exit_status(log[:-1]) is None
assert not klog.noise_of_unloading(log)
log.insert(7, "[ 1.65] tmk: something is left")
assert klog.noise_of_unloading(log) == ["[ 1.65] tmk: something is left"]
'
}

ktap_main
