// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/*
 * poll() on /dev/tmk. A program that was refused need not try again blindly:
 *
 *  - EPOLLIN: a limit of its group or of an ancestor that refused somebody has
 *    room again, so that another attempt may succeed;
 *  - EPOLLPRI: such a limit refused somebody.
 *
 * Both are news since the program last looked. Looking is TMK_IOC_USAGE, and so
 * is opening; TMK_IOC_REGION_CREATE is a look at the room, or the first poll()
 * after a refusal would answer for what was there before. Each file remembers
 * the counts that it saw. A program that changes its group in between may be
 * woken once for nothing.
 */

#include <linux/fs.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "ktmk.h"

/**
 * struct ktmk_client - an open /dev/tmk
 * @refused: refusals that it has seen
 * @room: how often room came back, as it has seen
 */
struct ktmk_client {
	atomic64_t refused;
	atomic64_t room;
};

static DECLARE_WAIT_QUEUE_HEAD(ktmk_poll_wait);

/**
 * ktmk_poll_wake() - some group's counts changed
 * @events: EPOLLIN or EPOLLPRI
 *
 * Everybody wakes up and looks at the counts of the groups above them. Nobody
 * is woken while no limit refuses.
 */
void ktmk_poll_wake(__poll_t events)
{
	wake_up_interruptible_poll(&ktmk_poll_wait, events);
}

/**
 * ktmk_poll_seen() - the caller looks at the figures now
 * @file: an open /dev/tmk
 * @refusals: at the refusals, too, and not just at the room
 *
 * Called before the figures are used: what changes later is news.
 */
void ktmk_poll_seen(struct file *file, bool refusals)
{
	struct ktmk_client *client = file->private_data;
	u64 refused, room;

	ktmk_usage_news(&refused, &room);
	atomic64_set(&client->room, room);
	if (refusals)
		atomic64_set(&client->refused, refused);
}

/**
 * ktmk_poll() - ->poll of /dev/tmk
 * @file: an open /dev/tmk
 * @wait: where to wait
 *
 * Return: EPOLLIN, EPOLLPRI, both or neither.
 */
__poll_t ktmk_poll(struct file *file, struct poll_table_struct *wait)
{
	struct ktmk_client *client = file->private_data;
	u64 refused, room;
	__poll_t mask = 0;

	poll_wait(file, &ktmk_poll_wait, wait);
	ktmk_usage_news(&refused, &room);
	if (atomic64_read(&client->refused) != refused)
		mask |= EPOLLPRI;
	if (atomic64_read(&client->room) != room)
		mask |= EPOLLIN | EPOLLRDNORM;
	return mask;
}

/**
 * ktmk_poll_open() - /dev/tmk is opened
 * @file: the file
 *
 * Return: 0 or -ENOMEM.
 */
int ktmk_poll_open(struct file *file)
{
	struct ktmk_client *client;

	client = kzalloc(sizeof(*client), GFP_KERNEL_ACCOUNT);
	if (!client)
		return -ENOMEM;
	file->private_data = client;
	ktmk_poll_seen(file, true);
	return 0;
}

/**
 * ktmk_poll_release() - /dev/tmk is closed
 * @file: the file
 */
void ktmk_poll_release(struct file *file)
{
	kfree(file->private_data);
}
