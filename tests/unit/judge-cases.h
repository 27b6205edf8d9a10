/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* A history that breaks a rule (`bad`), or one that is near by and does not. */
typedef struct JudgeCase {
        const char *rule;
        void (*tell)(bool bad);
} JudgeCase;

extern const JudgeCase judge_cases_messages[], judge_cases_wire[], judge_cases_fair[], judge_cases_starts[],
                judge_cases_duties[], judge_cases_turns[]; /* NULL-terminated */
