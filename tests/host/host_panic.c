/*
 * host_panic.c - panic() and the per-thread part of base/lock.h, hosted.
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/host/host_private.h"

static _Thread_local uint32_t held_ranks;
static _Thread_local jmp_buf *panic_catch;
static _Thread_local char panic_text[256];

uint32_t *lock_held_ranks(void)
{
	return &held_ranks;
}

static void (*relax_hook)(void *context);
static void *relax_context;

void host_relax_hook(void (*relaxed)(void *context), void *context)
{
	relax_context = context;
	relax_hook = relaxed;
}

void lock_relax(void)
{
	sched_yield();
	if (relax_hook != NULL) {
		relax_hook(relax_context);
	}
}

NORETURN void panic(const char *file, int line, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(panic_text, sizeof(panic_text), format, args);
	va_end(args);
	if (panic_catch != NULL) {
		longjmp(*panic_catch, 1);
	}
	fprintf(stderr, "panic: %s:%d: %s\n", file, line, panic_text);
	abort();
}

bool host_panics(void (*fn)(void *context), void *context)
{
	jmp_buf here;
	jmp_buf *outer = panic_catch;
	uint32_t ranks = held_ranks;
	volatile bool panicked = true;

	if (setjmp(here) == 0) {
		panic_catch = &here;
		fn(context);
		panicked = false;
	}
	panic_catch = outer;
	held_ranks = ranks;
	return panicked;
}

const char *host_panic_text(void)
{
	return panic_text;
}
