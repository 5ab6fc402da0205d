// SPDX-License-Identifier: GPL-2.0-only
/* Copyright (c) 2026 the tmk authors */
/* The one place where the tracepoints of trace.h are defined. */

#ifndef __CHECKER__
#define CREATE_TRACE_POINTS
#include "trace.h"
#endif
