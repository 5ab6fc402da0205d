/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/*
 * Address space that is reserved once and made usable from its beginning on,
 * as it is needed. What was made usable stays readable for ever and never
 * moves, which is what lets the tables of handles be read without a lock.
 */
#ifndef TMK_BASE_RESERVE_H
#define TMK_BASE_RESERVE_H

#include <stddef.h>

/**
 * struct tmk__reserve - one reservation; all zero before its first use
 * @base: where it begins
 * @reserved: its length
 * @usable: how much of it, from the beginning, may be read and written
 */
struct tmk__reserve {
	char *base;
	size_t reserved;
	size_t usable;
};

/**
 * tmk__reserve_init() - reserve address space, without memory behind it
 * @r: filled in; nothing happens if it is in use already
 * @want: how much would be enough for every program
 * @least: with how much less to be content where address space is limited
 *
 * Return: 0, or -ENOMEM (no sentence).
 */
int tmk__reserve_init(struct tmk__reserve *r, size_t want, size_t least);

/**
 * tmk__reserve_grow() - make the first @bytes usable; they read as zero
 *
 * Return: 0; -ENOSPC if the reservation is not that large; -ENOMEM.
 */
int tmk__reserve_grow(struct tmk__reserve *r, size_t bytes);

#endif /* TMK_BASE_RESERVE_H */
