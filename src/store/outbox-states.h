/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The numbers of delivery states as text for SQL: SQL_QUEUED is "0". They are literals, not
 * parameters, because SQLite uses a partial index only for a literal. */

#include "model/delivery.h"

#define SQL_NUMBER(number)  SQL_NUMBER_(number)
#define SQL_NUMBER_(number) #number

#define STATE_QUEUED     0
#define STATE_BOUND      1
#define STATE_CANCELLING 4
#define STATE_ACKED      5
#define STATE_REJECTED   6
#define STATE_CANCELLED  7
#define STATE_DEAD       8
#define STATE_DELAYED    9
#define STATE_GATHERING  10
#define STATE_GIVING_UP  11

#define SQL_QUEUED     SQL_NUMBER(STATE_QUEUED)
#define SQL_BOUND      SQL_NUMBER(STATE_BOUND)
#define SQL_CANCELLING SQL_NUMBER(STATE_CANCELLING)
#define SQL_ACKED      SQL_NUMBER(STATE_ACKED)
#define SQL_REJECTED   SQL_NUMBER(STATE_REJECTED)
#define SQL_CANCELLED  SQL_NUMBER(STATE_CANCELLED)
#define SQL_DEAD       SQL_NUMBER(STATE_DEAD)
#define SQL_DELAYED    SQL_NUMBER(STATE_DELAYED)
#define SQL_GATHERING  SQL_NUMBER(STATE_GATHERING)
#define SQL_GIVING_UP  SQL_NUMBER(STATE_GIVING_UP)

/* Lists for IN (…), as delivery_state_is_final(), …_is_dead_letter() and …_is_ending(). */
#define SQL_FINAL       SQL_ACKED ", " SQL_REJECTED ", " SQL_CANCELLED ", " SQL_DEAD
#define SQL_DEAD_LETTER SQL_REJECTED ", " SQL_DEAD
#define SQL_ENDING      SQL_CANCELLING ", " SQL_GIVING_UP

/* Everything open is a possible duplicate. */
#define OUTBOX_SUSPECT "UPDATE delivery SET duplicate = duplicate | 1 WHERE state NOT IN (" SQL_FINAL ")"

static_assert(STATE_QUEUED == (int) DELIVERY_QUEUED, "");
static_assert(STATE_BOUND == (int) DELIVERY_BOUND, "");
static_assert(STATE_CANCELLING == (int) DELIVERY_CANCELLING, "");
static_assert(STATE_ACKED == (int) DELIVERY_ACKED, "");
static_assert(STATE_REJECTED == (int) DELIVERY_REJECTED, "");
static_assert(STATE_CANCELLED == (int) DELIVERY_CANCELLED, "");
static_assert(STATE_DEAD == (int) DELIVERY_DEAD, "");
static_assert(STATE_DELAYED == (int) DELIVERY_DELAYED, "");
static_assert(STATE_GATHERING == (int) DELIVERY_GATHERING, "");
static_assert(STATE_GIVING_UP == (int) DELIVERY_GIVING_UP, "");
