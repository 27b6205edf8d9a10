/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/judge-inside.h"

#include <inttypes.h>
#include <stdio.h>

/* A sentence has fewer parts than this. */
#define TEXTS     16u
#define TEXT_SIZE 128u

static char *next_text(void)
{
        static char texts[TEXTS][TEXT_SIZE];
        static unsigned n;

        return texts[n++ % TEXTS];
}

const char *text_process(const JProcess *p)
{
        return p && p->process ? process_name(p->process) : "nobody";
}

const char *text_id(sd_id128_t id)
{
        char full[SD_ID128_STRING_MAX], *text = next_text();

        (void) snprintf(text, TEXT_SIZE, "%.8s", sd_id128_to_string(id, full));
        return text;
}

const char *text_message(const JMessage *m)
{
        char *text = next_text();

        if (m->planned)
                (void) snprintf(text, TEXT_SIZE, "message %" PRIu32 " (id %s)",
                                m->planned->step->message.number + m->planned->offset, text_id(m->id));
        else
                (void) snprintf(text, TEXT_SIZE, "the message with id %s", text_id(m->id));
        return text;
}

const char *text_time(const Judge *j, uint64_t at)
{
        char *text = next_text();
        const uint64_t since = at >= j->begin ? at - j->begin : 0;

        (void) snprintf(text, TEXT_SIZE, "%" PRIu64 ".%06" PRIu64 " s", since / USEC_PER_SEC,
                        since % USEC_PER_SEC);
        return text;
}

const char *text_outcome(unsigned outcome)
{
        const char *text = outcome < _OUTCOME_MAX ? outcome_to_string(outcome) : NULL;

        return text ? text : "nothing";
}

const char *text_state(unsigned state)
{
        const char *text = state < _DELIVERY_STATE_MAX ? delivery_state_to_string(state) : NULL;

        return text ? text : "?";
}
