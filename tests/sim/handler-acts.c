/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/handler-acts.h"

#include <assert.h>
#include <signal.h>
#include <sysexits.h>

#include "base/macro.h"
#include "base/time-util.h"
#include "model/limits.h"
#include "world/mix.h"

/* Failures of all kinds: by itself, by a signal, and by the kernel without memory. */
static const unsigned failures[] = {
                1, 2, EX_USAGE, EX_TEMPFAIL, 100, 128 + SIGTERM, 128 + SIGSEGV, 128 + SIGKILL};
static const unsigned rejections[] = {EX_DATAERR, EX_NOUSER, EX_NOHOST, EX_PROTOCOL, EX_NOPERM};

bool status_is_reject(unsigned status)
{
        for (size_t i = 0; i < ELEMENTSOF(rejections); i++)
                if (rejections[i] == status)
                        return true;
        return false;
}

uint64_t acts_random(Acts *a, uint64_t n)
{
        return splitmix64(&a->random) % n;
}

static bool one_in(Acts *a, unsigned n)
{
        return acts_random(a, n) == 0;
}

static void add(Acts *a, uint64_t at, ActKind kind, unsigned value)
{
        unsigned i = a->n++;

        assert(a->n <= ACTS_MAX);
        for (; i > 0 && a->acts[i - 1].at > at; i--)
                a->acts[i] = a->acts[i - 1];
        a->acts[i] = (Act){.at = at, .kind = kind, .value = value};
}

/* What becomes of it. */
typedef struct Fate {
        bool fails, rejects, hangs, kills, talks, forks, has_effect;
} Fate;

static Fate decide_fate(const ActsInput *in, Acts *a)
{
        const PlannedMessage *m = in->message;
        const uint64_t dice = acts_random(a, 4);
        Fate f = {.has_effect = true, .forks = one_in(a, 32)};

        f.kills = in->n_earlier < m->poison || (in->mood == MOOD_KILL && dice < 2);
        f.fails = in->n_earlier >= m->poison && in->n_earlier < m->poison + m->failures;
        f.fails |= in->mood == MOOD_FAIL && dice < 3;
        f.rejects = in->mood == MOOD_REJECT && dice < 2;
        f.hangs = in->mood == MOOD_HANG && dice < 3;
        f.talks = in->mood == MOOD_TALK;
        if (in->mood == MOOD_FORK) {
                f.forks = true;
                f.fails |= dice < 2;
        }
        if (f.fails || f.hangs || f.kills)
                f.has_effect = one_in(a, 2);
        if (f.rejects)
                f.has_effect = false;
        return f;
}

/* Around the planned time, rarely far more. */
static uint64_t decide_duration(const ActsInput *in, Acts *a)
{
        const uint64_t work = in->message->work_usec;
        uint64_t usec = work / 2 + acts_random(a, work + 1);

        return one_in(a, 64) ? 4 * usec : usec;
}

/* At once, at the end, or at any time between. */
static uint64_t decide_moment(Acts *a, uint64_t duration)
{
        const uint64_t dice = acts_random(a, 8), any = acts_random(a, duration + 1);

        return dice == 0 ? 0 : dice < 3 ? duration : any;
}

static unsigned decide_status(const Fate *f, Acts *a)
{
        const uint64_t failure = acts_random(a, ELEMENTSOF(failures)),
                       rejection = acts_random(a, ELEMENTSOF(rejections));

        return f->rejects ? rejections[rejection] : f->fails ? failures[failure] : 0;
}

static void add_reports(Acts *a, const Fate *f, uint64_t duration)
{
        const bool progress = one_in(a, 4), error = one_in(a, 2), retry = one_in(a, 3);
        const uint64_t when = acts_random(a, duration + 1), percent = acts_random(a, 101),
                       msec = acts_random(a, 2000), lines = 20 + acts_random(a, 400);

        if (progress)
                add(a, when, ACT_PROGRESS, (unsigned) percent);
        if (error && (f->fails || f->rejects))
                add(a, duration, ACT_ERROR, 0);
        if (retry && f->fails)
                add(a, duration, ACT_RETRY, (unsigned) msec);
        if (f->talks)
                add(a, duration - when, ACT_TALK, (unsigned) lines);
}

static void decide_reply(Acts *a)
{
        const uint64_t dice = acts_random(a, 1024), size = 48 + acts_random(a, 200);

        a->reply_size = dice == 0 ? REPLY_MAX + 100 : dice < 256 ? 0 : (unsigned) size;
}

void acts_decide(const ActsInput *in, Acts *ret)
{
        *ret = (Acts){.random = in->random};
        const Fate f = decide_fate(in, ret);
        const uint64_t duration = decide_duration(in, ret), effect = decide_moment(ret, duration),
                       kill = decide_moment(ret, duration), fork = acts_random(ret, duration + 1),
                       late = acts_random(ret, in->message->work_usec + USEC_PER_SEC);

        ret->status = decide_status(&f, ret);
        decide_reply(ret);
        if (in->cannot_execute) {
                ret->status = 127;
                add(ret, 0, ACT_END, 0);
                return;
        }
        if (f.forks)
                add(ret, fork, ACT_FORK, 0);
        if (f.has_effect)
                add(ret, effect, ACT_EFFECT, 0);
        else if (f.forks && f.fails) /* its descendant tries */
                add(ret, duration + late, ACT_EFFECT, 0);
        if (f.kills)
                add(ret, kill, ACT_KILL, 0);
        add_reports(ret, &f, duration);
        if (!f.hangs)
                add(ret, duration, ACT_END, 0);
}
