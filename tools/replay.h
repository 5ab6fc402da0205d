/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * The inside of tmkctl replay:
 *
 *	cmd_replay.c      the command
 *	replay_parse.c    a scenario's text to statements
 *	replay_run.c      statements to calls of the library, a line of JSON each
 *	replay_options.c  key=value: a workspace's options, expected counters
 *	replay_trace.c    recorded allocations
 */
#ifndef TMKCTL_REPLAY_H
#define TMKCTL_REPLAY_H

#include <tmk/tmk.h>

#include "common.h"

#define REPLAY_WORDS 40

/**
 * struct replay_statement - a line of the scenario
 * @line: its number
 * @argc: how many words
 * @argv: the words; the first says what it is
 * @partner: of repeat: the index of its end; of end: of its repeat
 * @times: of repeat: how often
 */
struct replay_statement {
	unsigned int line;
	int argc;
	char *argv[REPLAY_WORDS];
	size_t partner;
	uint64_t times;
};

/**
 * struct replay_scenario - a parsed file
 * @path: its name
 * @text: its contents, which the words point into
 * @statements: in the file's order
 * @nr: how many
 */
struct replay_scenario {
	const char *path;
	char *text;
	struct replay_statement *statements;
	size_t nr;
};

/* A name of the scenario and the workspace or tensor behind it. */
struct replay_name {
	char *name;
	struct tmk_workspace *ws;
	uint64_t alignment; /* of @ws */
	struct tmk_tensor *tensor;
};

struct replay_names {
	struct replay_name *rows;
	size_t nr;
	size_t room;
};

/* Where an allocation went. */
struct replay_place {
	const char *where; /* "workspace", "spill", "pinned" or "outside" */
	char id[64]; /* of the workspace, "" if outside of all */
	uint64_t offset; /* of "workspace" */
};

/* A scenario that is running. */
struct replay {
	const struct replay_scenario *scenario;
	struct replay_names workspaces;
	struct replay_names tensors;
	bool expect_failed;
	bool malformed; /* a statement that is none */
	char message[512]; /* own sentence of the last failure, or "" */
};

/* replay_parse.c */
int replay_parse(struct replay_scenario *out, const char *path);
void replay_free(struct replay_scenario *scenario);

/* replay_run.c */
int replay_run(const struct replay_scenario *scenario, bool strict);
int replay_error(struct replay *r, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int replay_workspace(struct replay_name **out, struct replay *r,
		     const char *name);
void replay_line_begin(struct tmkctl_json *json,
		       const struct replay_statement *s);
int replay_tensor_create(struct tmk_tensor **out, struct replay_place *place,
			 struct replay *r, uint64_t bytes);

/* replay_options.c */
int replay_workspace_opts(struct tmk_workspace_opts *out, struct replay *r,
			  const struct replay_statement *s);
void replay_counters(struct tmkctl_json *json,
		     const struct tmk_workspace_info *info);
int replay_expect(struct replay *r, const struct replay_statement *s);

/* replay_trace.c */
int replay_trace(struct replay *r, const struct replay_statement *s);

#endif /* TMKCTL_REPLAY_H */
