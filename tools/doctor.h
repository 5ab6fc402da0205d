/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * The findings of tmkctl doctor, and the functions that make them.
 *
 *	cmd_doctor.c     the list of checks, how it is printed, the exit code
 *	doctor_tmk.c     the module, its device, a trial of each backend, its limits
 *	doctor_system.c  what the kernel and the machine offer
 */
#ifndef TMKCTL_DOCTOR_H
#define TMKCTL_DOCTOR_H

#include "common.h"

enum tmkctl_state {
	TMKCTL_STATE_OK = 0,
	TMKCTL_STATE_LIMITED, /* there, but not all of it or not for all */
	TMKCTL_STATE_MISSING,
};

/**
 * struct tmkctl_finding - what one check found
 * @state: how it is
 * @detail: a few words
 * @advice: what to do about it, "" if nothing has to be done
 */
struct tmkctl_finding {
	enum tmkctl_state state;
	char detail[240];
	char advice[240];
};

/**
 * doctor_found() - fill in what a check found
 * @out: the finding
 * @state: how it is
 * @fmt: a few words
 */
void doctor_found(struct tmkctl_finding *out, enum tmkctl_state state,
		  const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/**
 * doctor_advise() - say what to do about it
 * @out: the finding
 * @fmt: one line
 */
void doctor_advise(struct tmkctl_finding *out, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* doctor_tmk.c */
void doctor_module(struct tmkctl_finding *out, const struct tmkctl *ctl);
void doctor_device(struct tmkctl_finding *out, const struct tmkctl *ctl);
void doctor_backend_dev(struct tmkctl_finding *out, const struct tmkctl *ctl);
void doctor_backend_user(struct tmkctl_finding *out, const struct tmkctl *ctl);
void doctor_room(struct tmkctl_finding *out, const struct tmkctl *ctl);

/* doctor_system.c */
void doctor_kernel(struct tmkctl_finding *out, const struct tmkctl *ctl);
void doctor_huge(struct tmkctl_finding *out, const struct tmkctl *ctl);
void doctor_huge_shmem(struct tmkctl_finding *out, const struct tmkctl *ctl);
void doctor_hugetlb(struct tmkctl_finding *out, const struct tmkctl *ctl);
void doctor_memlock(struct tmkctl_finding *out, const struct tmkctl *ctl);
void doctor_cgroup(struct tmkctl_finding *out, const struct tmkctl *ctl);
void doctor_memcg(struct tmkctl_finding *out, const struct tmkctl *ctl);
void doctor_io_uring(struct tmkctl_finding *out, const struct tmkctl *ctl);
void doctor_cuda(struct tmkctl_finding *out, const struct tmkctl *ctl);
void doctor_numa(struct tmkctl_finding *out, const struct tmkctl *ctl);

#endif /* TMKCTL_DOCTOR_H */
