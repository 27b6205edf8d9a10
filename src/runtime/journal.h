/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Writes what happens to messages and receivers to the journal. Each kind of event has a MESSAGE_ID, which
 * units/ackgroup.catalog explains, and fields for searching, as in `journalctl ACKGROUP_MESSAGE=ID`. When
 * standard error is not the journal, an event is an ordinary log line. */

#include <stdint.h>

#include "base/macro.h"

typedef enum JournalEvent {
        /* the client */
        JOURNAL_ACCEPTED,
        JOURNAL_SENT,
        JOURNAL_NO_ACK,
        JOURNAL_FAILED,
        JOURNAL_BUSY,
        JOURNAL_DISCONNECTED,
        JOURNAL_MOVED,
        JOURNAL_ACKED,
        JOURNAL_REJECTED,
        JOURNAL_CANCELLED,
        JOURNAL_DEAD,
        JOURNAL_DISCOVERY_LOST,
        JOURNAL_DISCOVERY_BACK,
        /* the receiver */
        JOURNAL_RECEIVED,
        JOURNAL_RUN_ACKED,
        JOURNAL_RUN_REJECTED,
        JOURNAL_RUN_FAILED,
        JOURNAL_RUN_CANCELLED,
        JOURNAL_ACK_WITHHELD,
        JOURNAL_DRAINING,
        JOURNAL_RESUMED,
        /* discovery */
        JOURNAL_REGISTERED,
        JOURNAL_LEFT,
        JOURNAL_LOST,
        /* all of them */
        JOURNAL_DAMAGED,
        JOURNAL_UNREADABLE,
        JOURNAL_COPIED,
        _JOURNAL_EVENT_MAX,
} JournalEvent;

/* Borrowed for the call. NULL or 0: the entry has no such field. */
typedef struct JournalFields {
        const char *message;  /* ACKGROUP_MESSAGE=, a UUID */
        const char *receiver; /* ACKGROUP_RECEIVER=, a name */
        const char *sender;   /* ACKGROUP_SENDER= */
        const char *group;    /* ACKGROUP_GROUP= */
        const char *reason;   /* ACKGROUP_REASON= */
        uint32_t attempt;     /* ACKGROUP_ATTEMPT= */
} JournalFields;

/* False: journal_event() would write nothing, so its arguments need not be computed. */
bool journal_wants(JournalEvent event);

/* The kind of event decides the level. Writes nothing when the log level is lower. */
void journal_event(JournalEvent event, const JournalFields *fields, const char *format, ...) _printf_(3, 4);

/* A line of somebody else's text, such as what a handler writes to standard error, whatever the log level
 * is.
 * "<N>" before it is its priority, as in the standard error of services; LOG_INFO without it. Returns what
 * is behind the priority. */
const char *journal_text(const JournalFields *fields, const char *text);

/* A log line with fields, which is no event. */
void journal_line(int level, const JournalFields *fields, const char *format, ...) _printf_(3, 4);
