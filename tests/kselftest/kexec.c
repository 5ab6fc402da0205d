// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * Another kernel is started while regions are held and mapped: nothing of them
 * holds it up. Only where tests/vm/kexec.sh has laid out that kernel; what it runs
 * says that it got that far, because this program does not live to do so.
 */
#include "tmk_util.h"

#include <linux/reboot.h>

#define KERNEL "/vm/vmlinuz"
#define INITRD "/tmp/second.cpio"
#define CMDLINE "console=ttyS0 panic=-1"

TEST(regions_do_not_hold_it_up)
{
	static const unsigned int kinds[] = { TMK_IOC_KIND_PINNED,
					      TMK_IOC_KIND_HUGE };
	int kernel = open(KERNEL, O_RDONLY | O_CLOEXEC);
	int initrd = open(INITRD, O_RDONLY | O_CLOEXEC);
	int dev = device_open(), fd, i;
	char *p;

	if (kernel < 0 || initrd < 0)
		SKIP(return, "no other kernel; tests/vm/kexec.sh has one");
	ASSERT_EQ(0, syscall(SYS_kexec_file_load, kernel, initrd,
			     sizeof(CMDLINE), CMDLINE, 0UL));
	for (i = 0; i < 2; i++) {
		fd = create_simple(dev, kinds[i], 8 * MIB);
		ASSERT_GE(fd, 0);
		p = map(fd, 8 * MIB);
		ASSERT_NE(MAP_FAILED, (void *)p);
		memset(p, 0x5a, 8 * MIB);
	}
	syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
		LINUX_REBOOT_CMD_KEXEC, NULL);
	/* Nobody comes back from there. */
	EXPECT_EQ(0, errno);
	EXPECT_TRUE(false);
}

TEST_HARNESS_MAIN
