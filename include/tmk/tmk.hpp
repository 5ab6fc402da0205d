// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the tmk authors
/*
 * Scope guards for C++: a scope that ends with the variable, by whatever road,
 * exceptions included.
 *
 *	{
 *		tmk::scope in(ws);
 *		...
 *	}
 *
 * A constructor that cannot open the scope throws tmk::error with the library's
 * sentence. What was opened inside of a guard's scope and left open ends with it.
 */
#ifndef TMK_TMK_HPP
#define TMK_TMK_HPP

#include <tmk/tmk.h>

#include <stdexcept>

namespace tmk
{

/* A call that failed: its sentence. */
class error : public std::runtime_error
{
    public:
	error() : std::runtime_error(tmk_error_last()) {}
};

/* What the guards have in common. */
class guard
{
    public:
	guard(const guard &) = delete;
	guard &operator=(const guard &) = delete;
	~guard() { tmk_workspace_scope_end(&scope_); }

    protected:
	guard(tmk_workspace *ws, tmk_scope_kind kind) : scope_()
	{
		scope_.ws = ws;
		scope_.kind = kind;
		if (!tmk_workspace_scope_begin(&scope_))
			throw error();
	}

    private:
	tmk_workspace_scope scope_;
};

/* The workspace is open while it lives. */
class scope : public guard
{
    public:
	explicit scope(tmk_workspace *ws) : guard(ws, TMK_SCOPE_WORKSPACE) {}
};

/* An open workspace that is further out is current while it lives. */
class borrow : public guard
{
    public:
	explicit borrow(tmk_workspace *ws) : guard(ws, TMK_SCOPE_BORROW) {}
};

/* No workspace is current while it lives. */
class scope_out : public guard
{
    public:
	scope_out() : guard(nullptr, TMK_SCOPE_OUT) {}
};

} /* namespace tmk */

#endif /* TMK_TMK_HPP */
