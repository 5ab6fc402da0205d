/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 the tmk authors */
/* All of libtmk. */
#ifndef TMK_TMK_H
#define TMK_TMK_H

#include <tmk/base.h>
#include <tmk/device.h>
#include <tmk/region.h>
#include <tmk/alloc.h>
#include <tmk/workspace.h>
#include <tmk/tensor.h>
#include <tmk/blas.h>
#include <tmk/stats.h>

#endif /* TMK_TMK_H */
