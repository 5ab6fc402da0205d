// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * tmkctl replay FILE: run a scenario through real workspaces and print what
 * happened, one JSON object a line. tmkctl(8) has the language.
 *
 * The exit code is 1 if an expectation was not met (with --strict: at the first
 * error), 2 if the scenario has a statement that is none.
 */
#include "replay.h"

static int run(const struct tmkctl *ctl, int argc, char **argv)
{
	struct replay_scenario scenario;
	int code;

	(void)argc;
	code = replay_parse(&scenario, argv[0]);
	if (code)
		return code;
	code = replay_run(&scenario, ctl->strict);
	replay_free(&scenario);
	return code;
}

/* tmkctl replay */
const struct tmkctl_cmd tmkctl_replay_cmds[] = {
	{
		.args = "FILE",
		.help = "run a scenario of workspaces, see tmkctl(8)",
		.opts = TMKCTL_OPT_STRICT,
		.args_min = 1,
		.args_max = 1,
		.run = run,
	},
	{ 0 },
};
