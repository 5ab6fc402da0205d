// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * A scenario's text to statements: lines to words, and which end belongs to
 * which repeat. Words mean nothing here.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "replay.h"

#define TEXT_MAX ((size_t)64 << 20)

static int read_all(char **out, FILE *f, const char *path)
{
	size_t used = 0, room = 1 << 16, n;
	char *text = malloc(room), *more;

	while (text && (n = fread(text + used, 1, room - used - 1, f))) {
		used += n;
		if (room - used > 1)
			continue;
		room *= 2;
		more = room > TEXT_MAX ? NULL : realloc(text, room);
		if (!more)
			free(text);
		text = more;
	}
	if (!text)
		return tmkctl_fail(TMKCTL_FAILED, "%s is too large", path);
	if (ferror(f)) {
		free(text);
		return tmkctl_fail(TMKCTL_FAILED, "cannot read %s: %s", path,
				   strerror(errno));
	}
	text[used] = '\0';
	if (strlen(text) != used) {
		free(text);
		return tmkctl_fail(TMKCTL_FAILED, "%s is no text", path);
	}
	*out = text;
	return 0;
}

static int read_file(char **out, const char *path)
{
	FILE *f = !strcmp(path, "-") ? stdin : fopen(path, "re");
	int code;

	if (!f)
		return tmkctl_fail(TMKCTL_FAILED, "cannot open %s: %s", path,
				   strerror(errno));
	code = read_all(out, f, path);
	if (f != stdin)
		fclose(f);
	return code;
}

/* The words of a line, up to a # that begins one. Return: false if too many. */
static bool split(struct replay_statement *s, char *line)
{
	static const char blanks[] = " \t\r\f\v";
	char *word, *rest = line;

	s->argc = 0;
	while ((word = strtok_r(rest, blanks, &rest))) {
		if (*word == '#')
			break;
		if (s->argc == REPLAY_WORDS)
			return false;
		s->argv[s->argc++] = word;
	}
	return true;
}

static int add(struct replay_scenario *out, const struct replay_statement *s,
	       size_t *room)
{
	struct replay_statement *more;

	if (out->nr == *room) {
		*room = *room ? 2 * *room : 64;
		more = realloc(out->statements, *room * sizeof(*more));
		if (!more)
			return tmkctl_fail(TMKCTL_FAILED,
					   "no memory for the statements of %s",
					   out->path);
		out->statements = more;
	}
	out->statements[out->nr++] = *s;
	return 0;
}

static int parse_lines(struct replay_scenario *out)
{
	struct replay_statement s = { 0 };
	char *line, *next = out->text;
	size_t room = 0;
	int code = 0;

	while (!code && (line = strsep(&next, "\n"))) {
		s.line++;
		if (!split(&s, line))
			return tmkctl_fail(TMKCTL_USAGE,
					   "%s:%u: more than %d words",
					   out->path, s.line, REPLAY_WORDS);
		if (s.argc)
			code = add(out, &s, &room);
	}
	return code;
}

/* Which end belongs to which repeat; open ones are linked through partner. */
static int match_loops(struct replay_scenario *out)
{
	size_t open = SIZE_MAX, i, outer;

	for (i = 0; i < out->nr; i++) {
		struct replay_statement *s = &out->statements[i];

		if (!strcmp(s->argv[0], "repeat")) {
			if (s->argc != 2 ||
			    tmkctl_u64_parse(&s->times, s->argv[1]))
				return tmkctl_fail(TMKCTL_USAGE,
						   "%s:%u: repeat takes a number",
						   out->path, s->line);
			s->partner = open;
			open = i;
		} else if (!strcmp(s->argv[0], "end")) {
			if (open == SIZE_MAX)
				return tmkctl_fail(TMKCTL_USAGE,
						   "%s:%u: end without repeat",
						   out->path, s->line);
			outer = out->statements[open].partner;
			out->statements[open].partner = i;
			s->partner = open;
			open = outer;
		}
	}
	if (open != SIZE_MAX)
		return tmkctl_fail(TMKCTL_USAGE, "%s:%u: repeat without end",
				   out->path, out->statements[open].line);
	return 0;
}

/**
 * replay_parse() - read a scenario
 * @out: its statements
 * @path: the file, "-" for standard input
 *
 * Return: 0, or an exit code after saying why.
 */
int replay_parse(struct replay_scenario *out, const char *path)
{
	int code;

	*out = (struct replay_scenario){ .path = path };
	code = read_file(&out->text, path);
	if (code)
		return code;
	code = parse_lines(out);
	if (!code)
		code = match_loops(out);
	if (code)
		replay_free(out);
	return code;
}

/**
 * replay_free() - forget a scenario
 * @scenario: parsed
 */
void replay_free(struct replay_scenario *scenario)
{
	free(scenario->statements);
	free(scenario->text);
}
