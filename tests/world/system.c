/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "runtime/notify.h"
#include "runtime/unit-job.h"
#include "world/inside.h"
#include "world/mix.h"
#include "world/scheduler.h"

static struct {
        char status[512], remark[256];
        unsigned n_ready, n_extended, n_alive;
        bool restarting;
} manager;
static uint64_t random_state;

void notify_world_begin(void)
{
        memset(&manager, 0, sizeof manager);
}

void random_world_begin(void)
{
        world_seed(1);
}

void notify_ready(void)
{
        manager.n_ready++;
}

void notify_stopping(void)
{
}

void notify_alive(void)
{
        manager.n_alive++;
}

void notify_status(const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        const int n = vsnprintf(manager.status, sizeof manager.status, format, ap);
        va_end(ap);
        if (manager.remark[0] && n > 0 && (size_t) n < sizeof manager.status)
                (void) snprintf(manager.status + n, sizeof manager.status - (size_t) n, "; %s",
                                manager.remark);
}

void notify_remark(const char *text)
{
        (void) snprintf(manager.remark, sizeof manager.remark, "%s", text);
}

void notify_extend(uint64_t usec)
{
        manager.n_extended++;
}

const char *world_status(void)
{
        return manager.status;
}

unsigned world_n_ready(void)
{
        return manager.n_ready;
}

unsigned world_n_extended(void)
{
        return manager.n_extended;
}

unsigned world_n_alive(void)
{
        return manager.n_alive;
}

struct UnitJob {
        Source source;
        Owned owned;
        UnitJobFn fn;
        void *userdata;
};

static bool is_ready(Source *s)
{
        return CONTAINER_OF(s, UnitJob, source)->fn;
}

static void tell(Source *s)
{
        UnitJob *j = CONTAINER_OF(s, UnitJob, source);
        UnitJobFn fn = j->fn;

        j->fn = NULL;
        fn(manager.restarting, j->userdata);
}

static void reclaim(Owned *o)
{
        UnitJob *j = CONTAINER_OF(o, UnitJob, owned);

        source_remove(&j->source);
        free(j);
}

int unit_job_ask(Loop *loop, UnitJobFn fn, void *userdata, UnitJob **ret)
{
        HOST_SCOPE;
        UnitJob *j = calloc(1, sizeof *j);

        assert(j);
        j->fn = fn;
        j->userdata = userdata;
        source_add(&j->source, loop, is_ready, tell);
        owned_add(&j->owned, reclaim);
        loop_wake(loop);
        *ret = j;
        return 0;
}

UnitJob *unit_job_free(UnitJob *j)
{
        if (!j)
                return NULL;
        owned_remove(&j->owned);
        reclaim(&j->owned);
        return NULL;
}

void world_restarting(bool restarting)
{
        manager.restarting = restarting;
}

void world_seed(uint64_t seed)
{
        random_state = seed * 0x9E3779B97F4A7C15u + 1;
}

/* A process has numbers of its own. */
int random_bytes(void *ret, size_t n)
{
        Process *p = process_current();
        uint64_t *state = p ? process_random(p) : &random_state;

        for (size_t at = 0; at < n; at += sizeof(uint64_t)) {
                const uint64_t z = splitmix64(state);

                memcpy((uint8_t *) ret + at, &z, MIN(sizeof z, n - at));
        }
        return 0;
}
