#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 the tmk authors
# vm: mem=512
#
# Regions end like all memory when another kernel is started. The runner brings its
# image as /vm/vmlinuz; what it runs answers in the place of the test that started
# it, and ends the machine.

second=/tmp/second
mkdir -p $second/bin $second/dev $second/proc $second/sys
cp /bin/busybox $second/bin/
cat >$second/init <<'END'
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox stty raw -echo </dev/ttyS1
# Without the module: it is another kernel, and all of its memory is free.
[ -e /sys/kernel/tmk ] || echo "ok 1 regions_do_not_hold_it_up" >/dev/ttyS1
echo "vm: exit 0" >/dev/kmsg
echo o >/proc/sysrq-trigger
/bin/busybox sleep 10
END
chmod 755 $second/init
(cd $second && find . | cpio -o -H newc 2>/dev/null) >/tmp/second.cpio
exec /vm/tests/kexec
