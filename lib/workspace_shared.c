// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Shared workspaces: those of no thread, which each thread of the process may
 * open. Their cycle begins when the first thread opens one and ends when the last
 * one closes it. Each has a lock, taken for every look at its inside; a thread's
 * own workspaces have none.
 *
 * Such a workspace is never what tmk_workspace_innermost leads to, so that an
 * allocation in it cannot go the short way, which asks nobody.
 *
 * Names: those of shared workspaces are the process's, in a list of their own,
 * under the lock of the table of workspaces. A name is taken before the block is
 * made, with the workspace locked: who finds it waits until there is one.
 *
 * The lock is of the place and not of the workspace, so that a thread can wait for
 * it while the workspace is destroyed: who gets it looks at the handle again.
 */
#include <errno.h>
#include <string.h>

#include "internal.h"
#include "ws.h"

struct tmk__thread tmk__everybody;

static int refuse_other(const struct tmk__ws *ws, const char *what)
{
	if (ws->inherited)
		return tmk__error(-EPERM,
				  "workspace \"%s\" is of the parent process "
				  "%d: its child cannot %s it",
				  ws->id, (int)ws->pid, what);
	return tmk__error(-EPERM,
			  "workspace \"%s\" is of another thread: this one "
			  "cannot %s it",
			  ws->id, what);
}

/**
 * tmk__ws_enter_other() - the rest of tmk__ws_enter(): it is not this thread's
 * @out: the inside, locked
 * @ws: the same; perhaps destroyed by now
 * @handle: what the caller has
 * @what: what was asked for, as a verb
 *
 * The thread has its record, and so a scope stack, from here on.
 *
 * Return: 0 if it is shared; -ESTALE, -EPERM or -ENOMEM with a sentence.
 */
int tmk__ws_enter_other(struct tmk__ws **out, struct tmk__ws *ws,
			const struct tmk_workspace *handle, const char *what)
{
	struct tmk__thread *owner, *self;
	bool shared;
	int err = 0;

	owner = __atomic_load_n(&ws->thread, __ATOMIC_RELAXED);
	shared = owner == &tmk__everybody;
	if (shared)
		pthread_mutex_lock(&ws->lock);
	if (tmk__ws_handle(ws) != handle)
		err = tmk__ws_stale(handle);
	else if (!shared || ws->inherited)
		err = refuse_other(ws, what);
	else
		err = tmk__thread_self(&self);
	if (!err)
		*out = ws;
	else if (shared)
		pthread_mutex_unlock(&ws->lock);
	return err;
}

static struct tmk__ws *find_id(const struct tmk__thread *owner, const char *id)
{
	struct tmk__ws *ws;

	for (ws = owner ? owner->first : NULL; ws; ws = ws->sibling) {
		if (!strcmp(ws->id, id))
			return ws;
	}
	return NULL;
}

/**
 * tmk__ws_enlist() - give a new workspace its owner and its name to the owner
 * @ws: from tmk__ws_place_take(), with its id; if it is shared, locked
 *
 * Return: 0, or -EEXIST with a sentence.
 */
int tmk__ws_enlist(struct tmk__ws *ws)
{
	struct tmk__thread *owner = ws->shared ? &tmk__everybody : tmk__self;
	bool taken;

	if (ws->shared)
		tmk__ws_table_lock();
	taken = find_id(owner, ws->id);
	if (!taken) {
		__atomic_store_n(&ws->thread, owner, __ATOMIC_RELAXED);
		ws->sibling = owner->first;
		owner->first = ws;
	}
	if (ws->shared)
		tmk__ws_table_unlock();
	if (!taken)
		return 0;
	return tmk__error(-EEXIST, "%s workspace \"%s\" already",
			  ws->shared ? "the process has a shared" :
				       "this thread has a",
			  ws->id);
}

/**
 * tmk__ws_delist() - take the name away again
 * @ws: enlisted; if it is shared, locked
 */
void tmk__ws_delist(struct tmk__ws *ws)
{
	struct tmk__ws **link;

	if (ws->shared)
		tmk__ws_table_lock();
	link = ws->shared ? &tmk__everybody.first : &tmk__self->first;
	while (*link != ws)
		link = &(*link)->sibling;
	*link = ws->sibling;
	if (ws->shared)
		tmk__ws_table_unlock();
}

/**
 * tmk__ws_find() - a workspace by its name
 * @out: its inside, entered
 * @id: the name
 * @shared: among those of the process, and not among this thread's
 *
 * Return: 0, or -ENOENT with a sentence.
 */
int tmk__ws_find(struct tmk__ws **out, const char *id, bool shared)
{
	struct tmk_workspace *handle = NULL;
	struct tmk__ws *ws;

	if (shared)
		tmk__ws_table_lock();
	ws = find_id(shared ? &tmk__everybody : tmk__self, id);
	if (ws)
		handle = tmk__ws_handle(ws);
	if (shared)
		tmk__ws_table_unlock();
	/* One whose block was refused, or that was destroyed, is none. */
	if (ws && !tmk__ws_enter(out, handle, "find"))
		return 0;
	return tmk__error(-ENOENT, "%s workspace \"%s\"",
			  shared ? "the process has no shared" :
				   "this thread has no",
			  id);
}
