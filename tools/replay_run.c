// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * Statements to calls of the library. Names of workspaces keep their handle when
 * it is destroyed, names of tensors when their scope ends: that such a handle is
 * refused is what scenarios are there to show.
 */
#define _GNU_SOURCE /* strerrorname_np() */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "replay.h"

/**
 * replay_error() - an own sentence for a failure
 * @r: the scenario
 * @err: -errno
 * @fmt: the sentence
 *
 * Return: @err.
 */
int replay_error(struct replay *r, int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(r->message, sizeof(r->message), fmt, args);
	va_end(args);
	tmkctl_text(r->message);
	return err;
}

/**
 * replay_line_begin() - start a line of output
 * @json: the object
 * @s: the statement that it is about
 */
void replay_line_begin(struct tmkctl_json *json,
		       const struct replay_statement *s)
{
	json_begin(json, stdout, false);
	json_object_begin(json, NULL);
	json_u64(json, "line", s->line);
	json_text(json, "op", s->argv[0]);
}

static struct replay_name *find(const struct replay_names *names,
				const char *name)
{
	size_t i;

	for (i = 0; i < names->nr; i++)
		if (!strcmp(names->rows[i].name, name))
			return &names->rows[i];
	return NULL;
}

/* The row of a name, made if need be. */
static int name_take(struct replay_name **out, struct replay *r,
		     struct replay_names *names, const char *name)
{
	struct replay_name *more;

	*out = find(names, name);
	if (*out)
		return 0;
	if (names->nr == names->room) {
		names->room = names->room ? 2 * names->room : 64;
		more = realloc(names->rows, names->room * sizeof(*more));
		if (!more)
			return replay_error(r, -ENOMEM, "no memory for names");
		names->rows = more;
	}
	*out = &names->rows[names->nr];
	**out = (struct replay_name){ .name = strdup(name) };
	if (!(*out)->name)
		return replay_error(r, -ENOMEM, "no memory for a name");
	names->nr++;
	return 0;
}

/**
 * replay_workspace() - the workspace behind a name
 * @out: its row
 * @r: the scenario
 * @name: its name
 *
 * Return: 0, or -ENOENT if the scenario has not made it.
 */
int replay_workspace(struct replay_name **out, struct replay *r,
		     const char *name)
{
	*out = find(&r->workspaces, name);
	return *out ? 0 :
		      replay_error(r, -ENOENT, "there is no workspace %s",
				   name);
}

static int tensor(struct replay_name **out, struct replay *r, const char *name)
{
	*out = find(&r->tensors, name);
	return *out ? 0 :
		      replay_error(r, -ENOENT, "there is no label %s", name);
}

static int run_workspace(struct replay *r, const struct replay_statement *s)
{
	struct tmk_workspace_opts opts;
	struct tmk_workspace *ws;
	struct replay_name *name;
	int err;

	err = replay_workspace_opts(&opts, r, s);
	if (!err)
		err = tmk_workspace_create(&ws, s->argv[1], &opts);
	if (err)
		return err;
	err = name_take(&name, r, &r->workspaces, s->argv[1]);
	if (err)
		return err;
	name->ws = ws;
	name->alignment = opts.alignment ? opts.alignment : 64;
	return 0;
}

/* open, borrow, initialize, destroy: one call each. */
static int run_call(struct replay *r, const struct replay_statement *s)
{
	static const struct {
		const char *op;
		int (*call)(struct tmk_workspace *ws);
	} calls[] = {
		{ "open", tmk_workspace_push },
		{ "borrow", tmk_workspace_borrow },
		{ "initialize", tmk_workspace_initialize },
		{ "destroy", tmk_workspace_destroy },
	};
	struct replay_name *name;
	size_t i;
	int err;

	err = replay_workspace(&name, r, s->argv[1]);
	if (err)
		return err;
	for (i = 0; strcmp(calls[i].op, s->argv[0]); i++)
		;
	return calls[i].call(name->ws);
}

static int print_counters(struct replay_name *name,
			  const struct replay_statement *s)
{
	struct tmk_workspace_info info;
	struct tmkctl_json json;
	int err;

	err = tmk_workspace_info(&info, name->ws);
	if (err)
		return err;
	replay_line_begin(&json, s);
	json_text(&json, "workspace", s->argv[1]);
	replay_counters(&json, &info);
	json_object_end(&json);
	return 0;
}

static int run_show(struct replay *r, const struct replay_statement *s)
{
	struct replay_name *name;
	int err;

	err = replay_workspace(&name, r, s->argv[1]);
	return err ? err : print_counters(name, s);
}

static int run_close(struct replay *r, const struct replay_statement *s)
{
	struct replay_name *name;
	int err;

	err = replay_workspace(&name, r, s->argv[1]);
	if (!err)
		err = tmk_workspace_pop(name->ws);
	/* A learned block that was refused: the scope is closed all the same. */
	if (err == -ENOMEM || err == -EDQUOT) {
		replay_error(r, err, "%s", tmk_error_last());
		(void)print_counters(name, s);
		return err;
	}
	return err ? err : print_counters(name, s);
}

static int run_scope_out(struct replay *r, const struct replay_statement *s)
{
	(void)r;
	return !strcmp(s->argv[0], "scope_out") ? tmk_workspace_scope_out() :
						  tmk_workspace_scope_in();
}

static int run_toggle(struct replay *r, const struct replay_statement *s)
{
	bool on = !strcmp(s->argv[2], "on");
	struct replay_name *name;
	int err;

	if (!on && strcmp(s->argv[2], "off") != 0)
		return replay_error(r, -EINVAL, "toggle takes on or off");
	err = replay_workspace(&name, r, s->argv[1]);
	return err ? err : tmk_workspace_toggle(name->ws, on);
}

/* Which workspace would take an allocation, and its counters now. */
static struct replay_name *watch(struct tmk_workspace_info *info,
				 struct replay *r, struct tmk_workspace *ws)
{
	size_t i;

	for (i = 0; ws && i < r->workspaces.nr; i++)
		if (r->workspaces.rows[i].ws == ws)
			return tmk_workspace_info(info, ws) ?
				       NULL :
				       &r->workspaces.rows[i];
	return NULL;
}

/* What the counters of @name say of an allocation of @bytes that was made. */
static void find_place(struct replay_place *out, const struct replay_name *name,
		       const struct tmk_workspace_info *before, uint64_t bytes)
{
	struct tmk_workspace_info after;

	*out = (struct replay_place){ .where = "outside" };
	if (!name || tmk_workspace_info(&after, name->ws))
		return;
	snprintf(out->id, sizeof(out->id), "%s", name->name);
	if (after.spilled_total == before->spilled_total) {
		if (after.external_count > before->external_count)
			return;
		out->where = "workspace";
		bytes += name->alignment - 1;
		out->offset = after.offset -
			      bytes / name->alignment * name->alignment;
	} else if (after.pinned_count > before->pinned_count) {
		out->where = "pinned";
	} else {
		out->where = "spill";
	}
}

/**
 * replay_tensor_create() - memory from where the scopes say
 * @out: a tensor
 * @place: where it went
 * @r: the scenario
 * @bytes: how much
 *
 * Return: 0, or -errno with a sentence.
 */
int replay_tensor_create(struct tmk_tensor **out, struct replay_place *place,
			 struct replay *r, uint64_t bytes)
{
	struct tmk_workspace_info before = { 0 };
	const struct replay_name *name;
	int64_t shape = (int64_t)bytes;
	int err;

	if (!bytes)
		return replay_error(r, -EINVAL, "0 bytes asked for");
	if (shape < 0)
		return replay_error(r, -EOVERFLOW,
				    "%" PRIu64 " bytes are more than memory "
				    "can hold",
				    bytes);
	name = watch(&before, r, tmk_workspace_current());
	err = tmk_tensor_create(out, TMK_U8, 1, &shape);
	if (err)
		return err;
	find_place(place, tmk_tensor_is_attached(*out) ? name : NULL, &before,
		   bytes);
	return 0;
}

static void print_place(const struct replay_statement *s, uint64_t bytes,
			const struct replay_place *place)
{
	struct tmkctl_json json;

	replay_line_begin(&json, s);
	json_text(&json, "label", s->argv[1]);
	json_u64(&json, "bytes", bytes);
	json_text(&json, "where", place->where);
	if (*place->id)
		json_text(&json, "workspace", place->id);
	if (!strcmp(place->where, "workspace"))
		json_u64(&json, "offset", place->offset);
	json_object_end(&json);
}

/* A label is for something else now: what it was goes if nobody else frees it. */
static void rebind(struct replay_name *label, struct tmk_tensor *t)
{
	if (label->tensor && !tmk_tensor_is_attached(label->tensor))
		tmk_tensor_put(label->tensor);
	label->tensor = t;
}

static int run_alloc(struct replay *r, const struct replay_statement *s)
{
	struct replay_place place;
	struct replay_name *label;
	struct tmk_tensor *t;
	uint64_t bytes;
	int err;

	if (tmk_bytes_parse(&bytes, s->argv[2], 0))
		return replay_error(r, -EINVAL, "%s is no number of bytes",
				    s->argv[2]);
	err = name_take(&label, r, &r->tensors, s->argv[1]);
	if (!err)
		err = replay_tensor_create(&t, &place, r, bytes);
	if (err)
		return err;
	rebind(label, t);
	print_place(s, bytes, &place);
	return 0;
}

static int run_use(struct replay *r, const struct replay_statement *s)
{
	struct tmkctl_json json;
	struct replay_name *label;
	int err;

	err = tensor(&label, r, s->argv[1]);
	if (!err)
		err = tmk_tensor_check(label->tensor, s->argv[1]);
	if (err)
		return err;
	replay_line_begin(&json, s);
	json_text(&json, "label", s->argv[1]);
	json_bool(&json, "valid", true);
	json_object_end(&json);
	return 0;
}

/* fill LABEL BYTE, verify LABEL BYTE: is what was written still there? */
static int run_fill(struct replay *r, const struct replay_statement *s)
{
	struct replay_name *label;
	unsigned char *p;
	uint64_t value;
	int64_t i, nr;
	int err;

	if (tmkctl_u64_parse(&value, s->argv[2]) || value > 255)
		return replay_error(r, -EINVAL, "%s is no byte", s->argv[2]);
	err = tensor(&label, r, s->argv[1]);
	if (!err)
		err = tmk_tensor_check(label->tensor, s->argv[1]);
	if (err)
		return err;
	p = tmk_tensor_data(label->tensor);
	nr = tmk_tensor_nr(label->tensor);
	if (!strcmp(s->argv[0], "fill")) {
		memset(p, (int)value, (size_t)nr);
		return 0;
	}
	/* Whole ones are compared at once, others looked through. */
	if (nr && p[0] == value && !memcmp(p, p + 1, (size_t)nr - 1))
		return 0;
	for (i = 0; i < nr; i++)
		if (p[i] != value)
			return replay_error(r, -EIO,
					    "%s has %d at %" PRId64 ", not %d",
					    s->argv[1], p[i], i, (int)value);
	return 0;
}

static int run_free(struct replay *r, const struct replay_statement *s)
{
	struct replay_name *label;
	int err;

	err = tensor(&label, r, s->argv[1]);
	if (!err)
		err = tmk_tensor_check(label->tensor, s->argv[1]);
	if (!err)
		tmk_tensor_put(label->tensor);
	return err;
}

/* leverage LABEL, leverage LABEL NAME, detach LABEL */
static int move(struct tmk_tensor **out, const struct replay_statement *s,
		struct tmk_tensor *from, const struct replay_name *to)
{
	if (!strcmp(s->argv[0], "detach"))
		return tmk_tensor_detach(out, from);
	return to ? tmk_tensor_leverage_to(out, from, to->ws) :
		    tmk_tensor_leverage(out, from);
}

/* Counters of every workspace, to see which one a copy went to. */
static struct tmk_workspace_info *watch_all(struct replay *r)
{
	struct tmk_workspace_info *all;
	size_t i;

	all = calloc(r->workspaces.nr + 1, sizeof(*all));
	for (i = 0; all && i < r->workspaces.nr; i++)
		(void)tmk_workspace_info(&all[i], r->workspaces.rows[i].ws);
	return all;
}

static int run_move(struct replay *r, const struct replay_statement *s)
{
	struct tmk_workspace_info *all, dummy;
	struct replay_name *label, *to = NULL;
	struct replay_place place;
	const struct replay_name *row;
	struct tmk_tensor *t;
	uint64_t bytes;
	int err;

	err = tensor(&label, r, s->argv[1]);
	if (!err && s->argc > 2)
		err = replay_workspace(&to, r, s->argv[2]);
	/* Under its label, so that the sentence can be understood. */
	if (!err)
		err = tmk_tensor_check(label->tensor, s->argv[1]);
	if (err)
		return err;
	all = watch_all(r);
	if (!all)
		return replay_error(r, -ENOMEM, "no memory for counters");
	err = move(&t, s, label->tensor, to);
	if (!err && t == label->tensor) {
		tmk_tensor_put(t); /* the reference that it was given */
	} else if (!err) {
		bytes = (uint64_t)tmk_tensor_nr(t);
		row = watch(&dummy, r, tmk_tensor_workspace(t));
		find_place(&place, row,
			   row ? &all[row - r->workspaces.rows] : all, bytes);
		rebind(label, t);
		print_place(s, bytes, &place);
	}
	free(all);
	return err;
}

static int run_fails(struct replay *r, const struct replay_statement *s);

static int run_loop(struct replay *r, const struct replay_statement *s)
{
	(void)r;
	(void)s;
	return 0; /* replay_run() itself goes round */
}

/* What a statement may be: how many words, and what it does. */
static const struct op {
	const char *name;
	int words_min;
	int words_max;
	int (*run)(struct replay *r, const struct replay_statement *s);
} ops[] = {
	{ "workspace", 2, REPLAY_WORDS, run_workspace },
	{ "open", 2, 2, run_call },
	{ "close", 2, 2, run_close },
	{ "borrow", 2, 2, run_call },
	{ "scope_out", 1, 1, run_scope_out },
	{ "scope_in", 1, 1, run_scope_out },
	{ "alloc", 3, 3, run_alloc },
	{ "free", 2, 2, run_free },
	{ "use", 2, 2, run_use },
	{ "fill", 3, 3, run_fill },
	{ "verify", 3, 3, run_fill },
	{ "leverage", 2, 3, run_move },
	{ "detach", 2, 2, run_move },
	{ "toggle", 3, 3, run_toggle },
	{ "initialize", 2, 2, run_call },
	{ "destroy", 2, 2, run_call },
	{ "show", 2, 2, run_show },
	{ "expect", 2, REPLAY_WORDS, replay_expect },
	{ "fails", 3, REPLAY_WORDS, run_fails },
	{ "trace", 2, 2, replay_trace },
	{ "repeat", 2, 2, run_loop },
	{ "end", 1, 1, run_loop },
};

static int run_statement(struct replay *r, const struct replay_statement *s)
{
	size_t i;

	r->message[0] = '\0';
	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		if (!strcmp(s->argv[0], ops[i].name))
			break;
	if (i == sizeof(ops) / sizeof(ops[0])) {
		r->malformed = true;
		return replay_error(r, -EINVAL, "there is no statement %s",
				    s->argv[0]);
	}
	if (s->argc < ops[i].words_min || s->argc > ops[i].words_max) {
		r->malformed = true;
		return replay_error(r, -EINVAL, "%s does not take %d arguments",
				    s->argv[0], s->argc - 1);
	}
	return ops[i].run(r, s);
}

static const char *error_name(int err)
{
	const char *name = strerrorname_np(-err);

	return name ? name : "?";
}

static const char *error_message(const struct replay *r)
{
	return *r->message ? r->message : tmk_error_last();
}

/* fails ERRNO STATEMENT: is it refused as it should be? */
static int run_fails(struct replay *r, const struct replay_statement *s)
{
	struct replay_statement inner = { .line = s->line };
	struct tmkctl_json json;
	const char *met;
	int i, err;
	bool ok;

	for (i = 2; i < s->argc; i++)
		inner.argv[inner.argc++] = s->argv[i];
	if (!strcmp(inner.argv[0], "fails") ||
	    !strcmp(inner.argv[0], "expect") ||
	    !strcmp(inner.argv[0], "repeat")) {
		r->malformed = true;
		return replay_error(r, -EINVAL, "fails cannot take %s",
				    inner.argv[0]);
	}
	err = run_statement(r, &inner);
	met = err ? error_name(err) : NULL;
	ok = met && !strcmp(met, s->argv[1]);
	replay_line_begin(&json, s);
	json_text(&json, "statement", inner.argv[0]);
	json_bool(&json, "ok", ok);
	json_text(&json, "expected", s->argv[1]);
	json_text(&json, "met", met);
	json_text(&json, "message", err ? error_message(r) : NULL);
	json_object_end(&json);
	r->expect_failed |= !ok;
	return 0;
}

/* What the first word after the statement's own is. */
static const char *argument_name(const char *op)
{
	static const char *const labels[] = { "alloc",	  "free", "use",
					      "leverage", "fill", "verify",
					      "detach" };
	size_t i;

	for (i = 0; i < sizeof(labels) / sizeof(labels[0]); i++)
		if (!strcmp(op, labels[i]))
			return "label";
	return strcmp(op, "trace") ? "workspace" : "file";
}

static void print_error(const struct replay *r,
			const struct replay_statement *s, int err)
{
	struct tmkctl_json json;

	replay_line_begin(&json, s);
	if (s->argc > 1)
		json_text(&json, argument_name(s->argv[0]), s->argv[1]);
	if (!strcmp(s->argv[0], "use"))
		json_bool(&json, "valid", false);
	json_text(&json, "error", error_name(err));
	json_text(&json, "message", error_message(r));
	json_object_end(&json);
}

/* Where to go on after a statement. @counts: rounds left, by index of repeat. */
static size_t next(const struct replay_scenario *scenario, uint64_t *counts,
		   size_t i)
{
	const struct replay_statement *s = &scenario->statements[i];

	if (!strcmp(s->argv[0], "repeat")) {
		counts[i] = s->times;
		return s->times ? i + 1 : s->partner + 1;
	}
	if (!strcmp(s->argv[0], "end") && --counts[s->partner])
		return s->partner + 1;
	return i + 1;
}

/* One scope, if one is open: the innermost. */
static bool close_one(struct replay *r)
{
	size_t i;

	if (!tmk_workspace_scope_in())
		return true;
	for (i = 0; i < r->workspaces.nr; i++)
		if (!tmk_workspace_pop(r->workspaces.rows[i].ws))
			return true;
	return false;
}

/* Whatever the scenario left open is closed with it. */
static void close_all(struct replay *r)
{
	while (close_one(r))
		;
}

/* Forget all names, and give back what nobody else would. */
static void finish(struct replay *r)
{
	size_t i;

	for (i = 0; i < r->tensors.nr; i++) {
		rebind(&r->tensors.rows[i], NULL);
		free(r->tensors.rows[i].name);
	}
	for (i = 0; i < r->workspaces.nr; i++)
		free(r->workspaces.rows[i].name);
	free(r->tensors.rows);
	free(r->workspaces.rows);
}

/**
 * replay_run() - run a scenario
 * @scenario: parsed
 * @strict: stop at the first error
 *
 * Return: an exit code.
 */
int replay_run(const struct replay_scenario *scenario, bool strict)
{
	struct replay r = { .scenario = scenario };
	uint64_t *counts;
	bool stopped = false;
	size_t i = 0;
	int err;

	counts = calloc(scenario->nr + 1, sizeof(*counts));
	if (!counts)
		return tmkctl_fail(TMKCTL_FAILED, "no memory for the scenario");
	while (i < scenario->nr && !stopped) {
		const struct replay_statement *s = &scenario->statements[i];

		err = run_statement(&r, s);
		if (err)
			print_error(&r, s, err);
		stopped = strict && (err || r.expect_failed);
		i = next(scenario, counts, i);
	}
	close_all(&r);
	finish(&r);
	(void)tmk_workspace_destroy_all();
	free(counts);
	if (stopped || r.expect_failed)
		return TMKCTL_FAILED;
	return r.malformed ? TMKCTL_USAGE : TMKCTL_OK;
}
