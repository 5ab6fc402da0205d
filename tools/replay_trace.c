// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * Recorded allocations, played in the current scope. A line of a trace is
 *
 *	a|f <tab> id <tab> bytes <tab> name
 *
 * "a" allocates, "f" releases what "a" of the same id allocated; a line that
 * begins with # is a comment. What is not released lives until the scope ends.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "replay.h"

#define ID_MAX ((uint64_t)1 << 24)

struct trace {
	struct tmk_tensor **tensors; /* by id */
	uint64_t *bytes;
	size_t room;
	uint64_t allocs;
	uint64_t frees;
	uint64_t total;
	uint64_t live;
	uint64_t peak;
	uint64_t went[4]; /* by places[] */
	uint64_t refused;
	int first; /* the first refusal */
	char message[512];
};

static const char *const places[] = { "workspace", "spill", "pinned",
				      "outside" };

static int reserve(struct trace *t, size_t id)
{
	size_t room = t->room ? t->room : 256;
	struct tmk_tensor **tensors;
	uint64_t *bytes;

	if (id < t->room)
		return 0;
	while (room <= id)
		room *= 2;
	tensors = realloc(t->tensors, room * sizeof(*tensors));
	if (tensors)
		t->tensors = tensors;
	bytes = realloc(t->bytes, room * sizeof(*bytes));
	if (bytes)
		t->bytes = bytes;
	if (!tensors || !bytes)
		return -ENOMEM;
	memset(tensors + t->room, 0, (room - t->room) * sizeof(*tensors));
	memset(bytes + t->room, 0, (room - t->room) * sizeof(*bytes));
	t->room = room;
	return 0;
}

static void do_alloc(struct trace *t, struct replay *r, uint64_t id,
		     uint64_t bytes)
{
	struct tmk_tensor *tensor;
	struct replay_place place;
	size_t i;
	int err;

	t->allocs++;
	err = replay_tensor_create(&tensor, &place, r, bytes);
	if (err) {
		if (!t->refused++) {
			t->first = err;
			snprintf(t->message, sizeof(t->message), "%s",
				 *r->message ? r->message : tmk_error_last());
		}
		return;
	}
	for (i = 0; strcmp(places[i], place.where); i++)
		;
	t->went[i]++;
	t->total += bytes;
	t->live += bytes;
	if (t->live > t->peak)
		t->peak = t->live;
	t->tensors[id] = tensor;
	t->bytes[id] = bytes;
}

static void do_free(struct trace *t, uint64_t id)
{
	t->frees++;
	t->live -= t->bytes[id];
	tmk_tensor_put(t->tensors[id]);
	t->tensors[id] = NULL;
	t->bytes[id] = 0;
}

/* Return: 0, or -EINVAL for a line that is none, -ENOMEM. */
static int do_line(struct trace *t, struct replay *r, char *line)
{
	char *op, *id_text, *bytes_text;
	uint64_t id, bytes;
	int err;

	line[strcspn(line, "\r\n")] = '\0';
	if (!*line || *line == '#')
		return 0;
	op = strsep(&line, "\t");
	id_text = strsep(&line, "\t");
	bytes_text = strsep(&line, "\t");
	if (!bytes_text || tmkctl_u64_parse(&id, id_text) || id >= ID_MAX ||
	    tmkctl_u64_parse(&bytes, bytes_text))
		return -EINVAL;
	err = reserve(t, id);
	if (err)
		return err;
	if (!strcmp(op, "a"))
		do_alloc(t, r, id, bytes);
	else if (!strcmp(op, "f"))
		do_free(t, id);
	else
		return -EINVAL;
	return 0;
}

static void print(const struct trace *t, const struct replay_statement *s)
{
	struct tmkctl_json json;
	size_t i;

	replay_line_begin(&json, s);
	json_text(&json, "file", s->argv[1]);
	json_u64(&json, "allocs", t->allocs);
	json_u64(&json, "frees", t->frees);
	json_u64(&json, "bytes", t->total);
	json_u64(&json, "peak_live", t->peak);
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		json_u64(&json, places[i], t->went[i]);
	json_u64(&json, "refused", t->refused);
	json_object_end(&json);
}

/* As it is called; else beside the scenario. */
static FILE *open_trace(const struct replay *r, const char *path)
{
	const char *scenario = r->scenario->path;
	const char *slash = strrchr(scenario, '/');
	FILE *f = fopen(path, "re");
	char beside[4096];

	if (f || *path == '/' || !slash)
		return f;
	if ((size_t)snprintf(beside, sizeof(beside), "%.*s/%s",
			     (int)(slash - scenario), scenario,
			     path) >= sizeof(beside))
		return NULL;
	return fopen(beside, "re");
}

static int play(struct trace *t, struct replay *r, FILE *f, const char *path)
{
	unsigned int number = 0;
	char line[1024];
	int err = 0;

	while (!err && fgets(line, sizeof(line), f)) {
		number++;
		err = do_line(t, r, line);
	}
	if (err == -EINVAL)
		return replay_error(r, err, "%s:%u: no line of a trace", path,
				    number);
	if (err)
		return replay_error(r, err, "no memory for the trace %s", path);
	return 0;
}

/**
 * replay_trace() - play a trace
 * @r: the scenario
 * @s: trace FILE
 *
 * Return: 0; -errno with a sentence, of the first refused allocation if some
 * were refused and all else was done.
 */
int replay_trace(struct replay *r, const struct replay_statement *s)
{
	struct trace t = { 0 };
	FILE *f = open_trace(r, s->argv[1]);
	size_t i;
	int err;

	if (!f)
		return replay_error(r, -errno, "cannot open %s: %s", s->argv[1],
				    strerror(errno));
	err = play(&t, r, f, s->argv[1]);
	fclose(f);
	if (!err)
		print(&t, s);
	if (!err && t.refused)
		err = replay_error(r, t.first, "%s", t.message);
	/* What is outside of all workspaces would never be given back. */
	for (i = 0; i < t.room; i++)
		if (t.tensors[i] && !tmk_tensor_is_attached(t.tensors[i]))
			tmk_tensor_put(t.tensors[i]);
	free(t.tensors);
	free(t.bytes);
	return err;
}
