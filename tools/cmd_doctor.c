// SPDX-License-Identifier: MIT
/* Copyright (c) 2026 the tmk authors */
/*
 * tmkctl doctor: what this machine offers tmk, and what to do about what is
 * missing. Nothing is changed; each backend is tried with one small region.
 *
 * The exit code is 0 if one of the backends works, so that the main job can
 * run, and 1 if none does.
 */
#include <stdlib.h>
#include <string.h>

#include "doctor.h"

/* A check is a row; its name is the key in the JSON, too. */
static const struct check {
	const char *name;
	void (*run)(struct tmkctl_finding *out, const struct tmkctl *ctl);
	bool backend; /* one that is ok is enough for the main job */
} checks[] = {
	{ "kernel", doctor_kernel, false },
	{ "module", doctor_module, false },
	{ "device", doctor_device, false },
	{ "backend-dev", doctor_backend_dev, true },
	{ "backend-user", doctor_backend_user, true },
	{ "room", doctor_room, false },
	{ "huge-pages", doctor_huge, false },
	{ "huge-shmem", doctor_huge_shmem, false },
	{ "hugetlb", doctor_hugetlb, false },
	{ "memlock", doctor_memlock, false },
	{ "cgroup", doctor_cgroup, false },
	{ "memory-controller", doctor_memcg, false },
	{ "io_uring", doctor_io_uring, false },
	{ "cuda", doctor_cuda, false },
	{ "numa", doctor_numa, false },
};
#define CHECKS_NR (sizeof(checks) / sizeof(checks[0]))

static const char *const state_names[] = {
	[TMKCTL_STATE_OK] = "ok",
	[TMKCTL_STATE_LIMITED] = "limited",
	[TMKCTL_STATE_MISSING] = "missing",
};

void doctor_found(struct tmkctl_finding *out, enum tmkctl_state state,
		  const char *fmt, ...)
{
	va_list args;

	out->state = state;
	out->advice[0] = '\0';
	va_start(args, fmt);
	vsnprintf(out->detail, sizeof(out->detail), fmt, args);
	va_end(args);
	tmkctl_text(out->detail);
}

void doctor_advise(struct tmkctl_finding *out, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(out->advice, sizeof(out->advice), fmt, args);
	va_end(args);
	tmkctl_text(out->advice);
}

static void print_finding(const struct tmkctl_term *term, const char *name,
			  const struct tmkctl_finding *finding)
{
	static const enum tmkctl_colour colours[] = {
		[TMKCTL_STATE_OK] = TMKCTL_GREEN,
		[TMKCTL_STATE_LIMITED] = TMKCTL_YELLOW,
		[TMKCTL_STATE_MISSING] = TMKCTL_RED,
	};

	printf("%s%-8s%s %-18s %s\n",
	       tmkctl_colour(term, colours[finding->state]),
	       state_names[finding->state], tmkctl_colour(term, TMKCTL_PLAIN),
	       name, finding->detail);
	if (*finding->advice)
		printf("%9s%-18s -> %s\n", "", "", finding->advice);
}

static void print_json(const struct tmkctl *ctl,
		       const struct tmkctl_finding *findings, bool ok)
{
	struct tmkctl_json json;
	size_t i;

	tmkctl_json_begin(&json, ctl);
	json_bool(&json, "ok", ok);
	json_array_begin(&json, "checks");
	for (i = 0; i < CHECKS_NR; i++) {
		json_object_begin(&json, NULL);
		json_text(&json, "name", checks[i].name);
		json_text(&json, "state", state_names[findings[i].state]);
		json_text(&json, "detail", findings[i].detail);
		json_text(&json, "advice",
			  *findings[i].advice ? findings[i].advice : NULL);
		json_object_end(&json);
	}
	json_array_end(&json);
	tmkctl_json_end(&json);
}

static int run_doctor(const struct tmkctl *ctl, int argc, char **argv)
{
	struct tmkctl_finding findings[CHECKS_NR] = { 0 };
	const char *works = NULL;
	struct tmkctl_term term;
	size_t i;

	(void)argc;
	(void)argv;
	tmkctl_term_probe(&term);
	for (i = 0; i < CHECKS_NR; i++) {
		checks[i].run(&findings[i], ctl);
		if (checks[i].backend && !works &&
		    findings[i].state != TMKCTL_STATE_MISSING)
			works = checks[i].name;
		if (!ctl->json)
			print_finding(&term, checks[i].name, &findings[i]);
	}
	if (ctl->json)
		print_json(ctl, findings, works);
	else if (works)
		printf("\nThe main job can run here, on %s.\n", works);
	else
		printf("\nThe main job cannot run here: no backend works.\n");
	return works ? TMKCTL_OK : TMKCTL_FAILED;
}

/* tmkctl doctor */
const struct tmkctl_cmd tmkctl_doctor_cmds[] = {
	{
		.help = "what this machine offers, and what to do about the rest",
		.opts = TMKCTL_OPT_JSON | TMKCTL_OPT_SYSFS | TMKCTL_OPT_ROOT,
		.run = run_doctor,
	},
	{ 0 },
};
