#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
# vm: mem=512 file=packaging/udev/60-tmk.rules file=/usr/bin/udevadm
# vm: file=/lib/systemd/systemd-udevd
#
# Whom udev lets at the device: the members of a group and no others, whenever
# the module is loaded.
# Tests are called by name.
# shellcheck disable=SC2317

# shellcheck source=tests/harness/guest.sh
. /vm/guest.sh

rules() { [ "$(stat -c '%u:%g %a' /dev/tmk)" = "0:777 660" ] || ! stat /dev/tmk; }

settled() { udevadm settle --timeout=60; }

loaded_before_udev() {
	[ "$(stat -c '%u:%g %a' /dev/tmk)" = "0:0 660" ] || return 1
	udevadm trigger --action=add --subsystem-match=misc && settled && rules
}

loaded_after_udev() { rmmod tmk && settled && insmod /vm/tmk.ko && settled && rules; }

members_may_and_others_may_not() {
	su member -c 'exec 3<>/dev/tmk' && ! su nobody -c 'exec 3<>/dev/tmk'
}

plan 3
mkdir -p /run/udev /etc/udev/rules.d
cp /vm/bin/60-tmk.rules /etc/udev/rules.d/
printf 'root:x:0:\ntmk:x:777:\nnogroup:x:65534:\nmember:x:1000:\n' >/etc/group
printf '%s\n' 'root::0:0::/:/bin/sh' 'member::1000:777::/:/bin/sh' \
	'nobody::65534:65534::/:/bin/sh' >/etc/passwd
/vm/bin/systemd-udevd --daemon >/tmp/udevd 2>&1 || cat /tmp/udevd
check loaded_before_udev
check loaded_after_udev
check members_may_and_others_may_not
kill "$(pidof systemd-udevd)"
exit "$failed"
