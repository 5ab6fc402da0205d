// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Fault points. Every step that can fail for want of something (memory, a
 * descriptor, a system call) asks tmk__fault() first. In the library that is
 * installed that is always false and costs nothing; in the one that tests link
 * (TMK__FAULTS) a test makes the nth step fail:
 *
 *	for (nth = 1;; nth++) {
 *		tmk__fault_arm(NULL, nth);
 *		err = ...;
 *		tmk__fault_arm(NULL, 0);
 *		if (!tmk__fault_fired())
 *			break;		// fewer than nth steps: all were tried
 *		...			// err, and nothing may be left behind
 *	}
 */
#include "internal.h"

#ifdef TMK__FAULTS
#include <errno.h>
#include <string.h>

static _Atomic(const char *) fault_step; /* NULL: any */
static atomic_ulong fault_nth; /* 0: disarmed */
static atomic_ulong fault_seen;
static atomic_bool fault_did;
static void (*_Atomic fault_meanwhile)(void);

/**
 * tmk__fault_arm() - make a step fail; no other thread may be in the library
 * @step: its name, NULL for any
 * @nth: the nth such step from now on fails, once; 0 disarms
 *
 * Arming forgets what tmk__fault_fired() and tmk__fault_steps() say; disarming
 * does not.
 */
void tmk__fault_arm(const char *step, unsigned long nth)
{
	atomic_store(&fault_nth, nth);
	if (!nth)
		return;
	atomic_store(&fault_step, step);
	atomic_store(&fault_seen, 0);
	atomic_store(&fault_did, false);
}

/**
 * tmk__fault_meanwhile() - what another thread happens to do while the step fails
 * @what: called once, by the thread whose step it is, with the locks that it has
 */
void tmk__fault_meanwhile(void (*what)(void))
{
	atomic_store(&fault_meanwhile, what);
}

/**
 * tmk__fault_steps() - how many matching steps there were since arming
 *
 * Return: the number.
 */
unsigned long tmk__fault_steps(void)
{
	return atomic_load(&fault_seen);
}

/**
 * tmk__fault_fired() - did a step fail since arming?
 *
 * Return: true if so.
 */
bool tmk__fault_fired(void)
{
	return atomic_load(&fault_did);
}

/**
 * tmk__fault() - is this step to fail?
 * @step: its name
 *
 * Return: true, with errno set to ENOMEM, if so.
 */
bool tmk__fault(const char *step)
{
	unsigned long nth = atomic_load(&fault_nth);
	const char *wanted = atomic_load(&fault_step);
	void (*meanwhile)(void);

	if (!nth || (wanted && strcmp(wanted, step) != 0))
		return false;
	if (atomic_fetch_add(&fault_seen, 1) + 1 != nth)
		return false;
	atomic_store(&fault_did, true);
	tmk__log(TMK__LOG_DEBUG, "fault injected at step %lu, %s", nth, step);
	meanwhile = atomic_exchange(&fault_meanwhile, NULL);
	if (meanwhile)
		meanwhile();
	errno = ENOMEM;
	return true;
}
#endif /* TMK__FAULTS */
