// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * tmkctl OBJECT [COMMAND] [ARGUMENTS]: who holds how much, and the limits.
 *
 * This file reads the command line. An object is a row of objects[], its
 * commands are the cmds[] of cmd_<object>.c. Options may stand anywhere; each
 * command says which ones it takes.
 *
 * Exit codes: 0 ok, 1 failed, 2 usage, 3 no module.
 */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <tmk/base.h>

#include "common.h"

static int run_version(const struct tmkctl *ctl, int argc, char **argv)
{
	struct tmkctl_json json;
	char module[64];

	(void)argc;
	(void)argv;
	tmkctl_file_read(module, sizeof(module), "%s/version", ctl->sysfs);
	tmkctl_text(module);
	if (ctl->json) {
		tmkctl_json_begin(&json, ctl);
		json_text(&json, "tmkctl", TMK_META_VERSION);
		json_text(&json, "libtmk", tmk_version());
		json_text(&json, "module", *module ? module : NULL);
		tmkctl_json_end(&json);
		return TMKCTL_OK;
	}
	printf("tmkctl %s\nlibtmk %s\nmodule %s\n", TMK_META_VERSION,
	       tmk_version(), *module ? module : "not loaded");
	return TMKCTL_OK;
}

static const struct tmkctl_cmd version_cmds[] = {
	{
		.help = "versions of this program, the library, the module",
		.opts = TMKCTL_OPT_JSON | TMKCTL_OPT_SYSFS,
		.run = run_version,
	},
	{ 0 },
};

static int run_help(const struct tmkctl *ctl, int argc, char **argv);

static const struct tmkctl_cmd help_cmds[] = {
	{
		.args = "[OBJECT]",
		.help = "this text",
		.args_max = 1,
		.run = run_help,
	},
	{ 0 },
};

/* A row is an object, or a command that stands alone. */
static const struct tmkctl_object {
	const char *name;
	const struct tmkctl_cmd *cmds;
} objects[] = {
	{ "status", tmkctl_status_cmds }, { "limit", tmkctl_limit_cmds },
	{ "replay", tmkctl_replay_cmds }, { "doctor", tmkctl_doctor_cmds },
	{ "version", version_cmds },	  { "help", help_cmds },
};
#define OBJECTS_NR (sizeof(objects) / sizeof(objects[0]))

/* bit: which commands take it; 0: all of them. */
static const struct tmkctl_option {
	unsigned int bit;
	const char *usage;
	const char *help;
} option_rows[] = {
	{ TMKCTL_OPT_JSON, "-j, --json", "print one JSON object, exact bytes" },
	{ TMKCTL_OPT_JSON, "-p, --pretty", "the same on many lines" },
	{ TMKCTL_OPT_WATCH, "-w, --watch SECONDS", "again and again" },
	{ TMKCTL_OPT_SYSFS, "--sysfs DIR",
	  "read DIR (default: TMK_SYSFS or " TMKCTL_SYSFS ")" },
	{ TMKCTL_OPT_ROOT, "--root DIR",
	  "look at DIR/proc, DIR/sys and DIR/dev (for tests)" },
	{ TMKCTL_OPT_STRICT, "--strict", "stop at the first error" },
	{ 0, "-h, --help", "how to use it" },
};

static bool is_row(const struct tmkctl_cmd *cmd)
{
	return cmd->run;
}

static void print_cmd(const struct tmkctl_object *object,
		      const struct tmkctl_cmd *cmd)
{
	char line[160];

	snprintf(line, sizeof(line), "tmkctl %s%s%s%s%s", object->name,
		 cmd->name ? " " : "", cmd->name ? cmd->name : "",
		 cmd->args ? " " : "", cmd->args ? cmd->args : "");
	if (strlen(line) > 30)
		printf("  %s\n  %-30s  %s\n", line, "", cmd->help);
	else
		printf("  %-30s  %s\n", line, cmd->help);
}

/* The usage of everything, of one object or of one command of it. */
static void print_usage(const struct tmkctl_object *only,
			const struct tmkctl_cmd *only_cmd)
{
	unsigned int opts = 0;
	size_t i;

	printf("Usage: tmkctl [OBJECT [COMMAND]] [ARGUMENTS] [OPTIONS]\n");
	if (!only)
		printf("Who holds how much of tmk's memory, and the limits.\n"
		       "Without arguments: status.\n");
	printf("\n");
	for (i = 0; i < OBJECTS_NR; i++) {
		const struct tmkctl_cmd *cmd = objects[i].cmds;

		for (; (!only || only == &objects[i]) && is_row(cmd); cmd++) {
			if (only_cmd && only_cmd != cmd)
				continue;
			print_cmd(&objects[i], cmd);
			opts |= cmd->opts;
		}
	}
	printf("\nOptions:\n");
	for (i = 0; i < sizeof(option_rows) / sizeof(option_rows[0]); i++)
		if (!option_rows[i].bit || (option_rows[i].bit & opts))
			printf("  %-22s  %s\n", option_rows[i].usage,
			       option_rows[i].help);
	if (!only || opts & TMKCTL_OPT_SYSFS)
		printf("\nA cgroup is named by its path: team-a, /team-a or /sys/fs/cgroup/team-a.\n"
		       "A size is a number of bytes with K, M, G or T (powers of 1024), or max.\n");
	printf("\nExit codes: 0 ok, 1 failed, 2 wrong usage, 3 the module is not loaded.\n");
}

static const struct tmkctl_object *find_object(const char *name)
{
	size_t i;

	for (i = 0; i < OBJECTS_NR; i++)
		if (!strcmp(objects[i].name, name))
			return &objects[i];
	tmkctl_fail(TMKCTL_USAGE,
		    "there is no object '%s'; there are status, limit, replay, doctor, version and help",
		    name);
	return NULL;
}

static int run_help(const struct tmkctl *ctl, int argc, char **argv)
{
	const struct tmkctl_object *object = NULL;

	(void)ctl;
	if (argc) {
		object = find_object(argv[0]);
		if (!object)
			return TMKCTL_USAGE;
	}
	print_usage(object, NULL);
	return TMKCTL_OK;
}

/* Return: the command, or NULL after saying what there is. */
static const struct tmkctl_cmd *find_cmd(const struct tmkctl_object *object,
					 const char *name)
{
	const struct tmkctl_cmd *cmd;
	char names[80] = "";

	for (cmd = object->cmds; is_row(cmd); cmd++) {
		if (name && !strcmp(cmd->name, name))
			return cmd;
		snprintf(names + strlen(names), sizeof(names) - strlen(names),
			 "%s%s", *names ? ", " : "", cmd->name);
	}
	if (name)
		tmkctl_fail(TMKCTL_USAGE, "%s has no command '%s'; it has: %s",
			    object->name, name, names);
	else
		tmkctl_fail(TMKCTL_USAGE, "%s needs a command: %s",
			    object->name, names);
	return NULL;
}

static int parse_watch(double *out, const char *text)
{
	char *end;

	errno = 0;
	*out = strtod(text, &end);
	if (errno || end == text || *end || !isfinite(*out) || *out < 0.1 ||
	    *out > 86400)
		return tmkctl_fail(
			TMKCTL_USAGE,
			"--watch takes seconds from 0.1 to 86400, not '%s'",
			text);
	return 0;
}

/* What the command line holds beside objects, commands and arguments. */
struct parsed {
	unsigned int opts;
	bool help;
};

/* @word: where getopt stopped; of "-jx" only optopt tells the wrong letter. */
static int bad_option(const char *word)
{
	if (!strncmp(word, "--", 2) || !optopt)
		return tmkctl_fail(TMKCTL_USAGE, "there is no option %s", word);
	return tmkctl_fail(TMKCTL_USAGE, "there is no option -%c", optopt);
}

static int parse_options(struct tmkctl *ctl, struct parsed *out, int argc,
			 char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "pretty", no_argument, NULL, 'p' },
		{ "watch", required_argument, NULL, 'w' },
		{ "sysfs", required_argument, NULL, 's' },
		{ "root", required_argument, NULL, 'r' },
		{ "strict", no_argument, NULL, 'S' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":jpw:h", options, NULL)) != -1) {
		switch (c) {
		case 'p':
			ctl->pretty = true;
			/* fall through */
		case 'j':
			ctl->json = true;
			out->opts |= TMKCTL_OPT_JSON;
			break;
		case 'w':
			if (parse_watch(&ctl->watch, optarg))
				return TMKCTL_USAGE;
			out->opts |= TMKCTL_OPT_WATCH;
			break;
		case 's':
			ctl->sysfs = optarg;
			out->opts |= TMKCTL_OPT_SYSFS;
			break;
		case 'r':
			ctl->root = optarg;
			out->opts |= TMKCTL_OPT_ROOT;
			break;
		case 'S':
			ctl->strict = true;
			out->opts |= TMKCTL_OPT_STRICT;
			break;
		case 'h':
			out->help = true;
			break;
		case ':':
			return tmkctl_fail(TMKCTL_USAGE, "%s needs a value",
					   argv[optind - 1]);
		default:
			return bad_option(argv[optind - 1]);
		}
	}
	return 0;
}

static int check_use(const struct tmkctl_object *object,
		     const struct tmkctl_cmd *cmd, unsigned int opts, int argc)
{
	static const char *const names[] = { "--json", "--sysfs", "--watch",
					     "--root", "--strict" };
	const char *space = cmd->name ? " " : "";
	const char *name = cmd->name ? cmd->name : "";
	unsigned int i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (opts & ~cmd->opts & (1u << i))
			return tmkctl_fail(TMKCTL_USAGE, "%s%s%s takes no %s",
					   object->name, space, name, names[i]);
	if (argc < cmd->args_min || argc > cmd->args_max)
		return tmkctl_fail(TMKCTL_USAGE, "usage: tmkctl %s%s%s%s%s",
				   object->name, space, name,
				   cmd->args ? " " : "",
				   cmd->args ? cmd->args : "");
	return 0;
}

/* Where /sys/kernel/tmk is. Return: 0 or an exit code. */
static int choose_sysfs(struct tmkctl *ctl)
{
	static char path[4096];
	int len;

	if (!ctl->sysfs)
		ctl->sysfs = getenv("TMK_SYSFS");
	if (ctl->sysfs && *ctl->sysfs)
		return 0;
	len = snprintf(path, sizeof(path), "%s%s", ctl->root, TMKCTL_SYSFS);
	if (len >= (int)sizeof(path))
		return tmkctl_fail(TMKCTL_USAGE, "--root is too long");
	ctl->sysfs = path;
	return 0;
}

static int run(int argc, char **argv)
{
	const struct tmkctl_object *object = NULL;
	const struct tmkctl_cmd *cmd = NULL;
	struct tmkctl ctl = { .root = "" };
	struct parsed parsed = { 0 };
	int err;

	err = parse_options(&ctl, &parsed, argc, argv);
	if (err)
		return err;
	argc -= optind;
	argv += optind;
	if (argc) {
		object = find_object(*argv++);
		if (!object)
			return TMKCTL_USAGE;
		argc--;
	}
	if (object && object->cmds->name && !(parsed.help && !argc)) {
		cmd = find_cmd(object, argc ? *argv : NULL);
		if (!cmd)
			return TMKCTL_USAGE;
		argc--;
		argv++;
	}
	if (parsed.help) {
		print_usage(object, cmd);
		return TMKCTL_OK;
	}
	if (!object)
		object = &objects[0]; /* no argument: status */
	if (!cmd)
		cmd = object->cmds;
	err = check_use(object, cmd, parsed.opts, argc);
	if (!err)
		err = choose_sysfs(&ctl);
	if (err)
		return err;
	return cmd->run(&ctl, argc, argv);
}

/**
 * main() - run the command and see to it that its output arrived
 * @argc: how many words
 * @argv: the command line
 *
 * Return: the exit code.
 */
int main(int argc, char **argv)
{
	int code = run(argc, argv);

	errno = 0;
	if (fflush(stdout) || ferror(stdout))
		return tmkctl_fail(TMKCTL_FAILED, "cannot write the output: %s",
				   strerror(errno ? errno : EIO));
	return code;
}
