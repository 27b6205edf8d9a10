/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Stacks that one thread switches between. A stack that is never switched to again can be thrown away at any
 * time. */

typedef struct Coroutine Coroutine;

/* `fn` runs when coroutine_enter() is called for the first time. It must not return: its last act is
 * coroutine_leave(). */
Coroutine *coroutine_new(void (*fn)(void *userdata), void *userdata);
void coroutine_enter(Coroutine *c); /* returns when it leaves; not from inside a coroutine */
void coroutine_leave(Coroutine *c); /* from inside it; returns when it is entered again */
void coroutine_free(Coroutine *c);  /* not from inside it; NULL is fine */
