/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Counts the outcomes of many lines, and shows a progress bar, a line for each failure, and totals. */

#include <systemd/sd-id128.h>

#include "ctl/bar.h"
#include "ctl/ctl.h"
#include "wire/frame.h"

typedef struct Tally {
        const Ctl *c;
        bool several; /* each line has several receivers; the client reports their attempts as one sum, so
                         retries cannot be counted */
        uint64_t input_size, input_read; /* bytes; size 0: not known */
        uint64_t started_usec;           /* CLOCK_BOOTTIME */

        uint64_t submitted, accepted, refused, retried;
        uint64_t cut; /* replies */
        uint64_t ends[_SETTLEMENT_MAX];

        uint64_t failures_told, shown_usec;
        bool output_hangs; /* nobody reads standard output: nothing more is printed there */
        Bar bar;
} Tally;

/* The number of lines that are not settled; with --no-wait: that are not accepted. */
uint64_t tally_waiting(const Tally *t);
uint64_t tally_settled(const Tally *t);

/* Count one line. With --json they print it; otherwise they print only failures. NULL as `id`: not known. */
void tally_accepted(Tally *t, uint64_t line, sd_id128_t id);
void tally_refused(Tally *t, uint64_t line, Bytes why);
void tally_settlement(Tally *t, const SettlementFrame *f, const sd_id128_t *id);

void tally_show_bar(Tally *t, uint64_t now_usec); /* on a terminal only; limits how often it draws */
void tally_hide_bar(Tally *t);                    /* call it before you print other text */
void tally_show_totals(Tally *t, uint64_t now_usec);
