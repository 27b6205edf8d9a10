/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/journal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "base/log-limit.h"
#include "base/log.h"
#include "base/str-util.h"

#define FIELD_MAX  1024u /* bytes; longer texts are cut */
#define FIELDS_MAX 10u

/* Never change an id: an event with another meaning gets a new one. */
static const struct {
        const char *id;
        int level;
} events[_JOURNAL_EVENT_MAX] = {
                [JOURNAL_ACCEPTED] = {"48be8a754155422f80dacf67946f1c1c", LOG_INFO},
                [JOURNAL_SENT] = {"ccd2db01ec0043fbbd230462461c937c", LOG_INFO},
                [JOURNAL_NO_ACK] = {"b2711786d30e4a95b458a016e5079e00", LOG_NOTICE},
                [JOURNAL_FAILED] = {"bd0bf041b98a4d62946f36d148796d85", LOG_NOTICE},
                [JOURNAL_BUSY] = {"6870a49ab4e54b67ac700da654c253ce", LOG_INFO},
                [JOURNAL_DISCONNECTED] = {"42c2b6a53ec9425e85b7942d90e66b01", LOG_INFO},
                [JOURNAL_MOVED] = {"a105b775221546648ec547dd94b9e74c", LOG_NOTICE},
                [JOURNAL_ACKED] = {"ea1daaaa8f154c85b0f27c6cf3394104", LOG_INFO},
                [JOURNAL_REJECTED] = {"82ec1d3ba9e344c6bef3f186feee5a63", LOG_WARNING},
                [JOURNAL_CANCELLED] = {"5248d668428f4ba48bb5bdd21662cc0e", LOG_INFO},
                [JOURNAL_DEAD] = {"31dfa50a718b4f22bc33e5631b8d4b00", LOG_WARNING},
                [JOURNAL_DISCOVERY_LOST] = {"6941bf5103b34e6b847e01dafef5b774", LOG_WARNING},
                [JOURNAL_DISCOVERY_BACK] = {"d18812c85b344db8a1d57f3fab4ba7a3", LOG_NOTICE},
                [JOURNAL_RECEIVED] = {"c12d80f921214b0188959f3e2d263ce4", LOG_INFO},
                [JOURNAL_RUN_ACKED] = {"6c8d97026d9c44cb94050919e5fbcf7f", LOG_INFO},
                [JOURNAL_RUN_REJECTED] = {"b53e91d9baf84325982bbe656a13a72f", LOG_WARNING},
                [JOURNAL_RUN_FAILED] = {"86c659dfe7214dd5b1923253984f5361", LOG_NOTICE},
                [JOURNAL_RUN_CANCELLED] = {"6f1987a21b4f4e2e9b5c73692f61e409", LOG_INFO},
                [JOURNAL_ACK_WITHHELD] = {"6351f04e23b74d199dad9e6c4d95248f", LOG_INFO},
                [JOURNAL_DRAINING] = {"1ae6a685a0dd4afab4f78879a4c6a3f6", LOG_NOTICE},
                [JOURNAL_RESUMED] = {"a2db8e6b74f040e2853f0675d1825b66", LOG_NOTICE},
                [JOURNAL_REGISTERED] = {"06ceff5e01284d5898b08630c0b8a23a", LOG_INFO},
                [JOURNAL_LEFT] = {"0b60cba37a864b779f942ba5ffb05b30", LOG_INFO},
                [JOURNAL_LOST] = {"08394d6e84774473864e49b6478ef713", LOG_WARNING},
                [JOURNAL_DAMAGED] = {"3f1c6a0de2b84c7e9d5a17c04b86e2f9", LOG_CRIT},
                [JOURNAL_UNREADABLE] = {"6c0e9d17a5f24b38be41f7d2908c35ae", LOG_CRIT},
                [JOURNAL_COPIED] = {"b7d84e5290a14f36a8c2d93f6e015b7c", LOG_WARNING},
};

#define PARTS_MAX (2 * FIELDS_MAX) /* a newline behind each field */

typedef struct Entry {
        struct iovec parts[PARTS_MAX];
        char texts[FIELDS_MAX][FIELD_MAX];
        int n;
} Entry;

static void add(Entry *e, const char *format, ...) _printf_(2, 3);
static void add(Entry *e, const char *format, ...)
{
        char *text = e->texts[e->n];
        va_list ap;
        int n;

        va_start(ap, format);
        n = vsnprintf(text, FIELD_MAX, format, ap);
        va_end(ap);
        if (n <= 0)
                return;
        /* In the journal's protocol, a newline ends a field. */
        for (char *c = text; *c; c++)
                if (*c == '\n')
                        *c = ' ';
        e->parts[2 * e->n] = (struct iovec){text, MIN((size_t) n, FIELD_MAX - 1)};
        e->parts[2 * e->n + 1] = (struct iovec){(char *) "\n", 1};
        e->n++;
}

static void add_word(Entry *e, const char *name, const char *value)
{
        if (!str_empty(value))
                add(e, "%s=%s", name, value);
}

/* Does not use sd_journal_sendv(): that waits while the journal does not read. False: the journal did not
 * take it. */
static bool send_datagram(struct iovec *parts, size_t n)
{
        static int fd = -1;
        struct sockaddr_un journal = {AF_UNIX, "/run/systemd/journal/socket"};
        const struct msghdr m = {
                        .msg_name = &journal,
                        .msg_namelen = sizeof journal,
                        .msg_iov = parts,
                        .msg_iovlen = n,
        };

        if (fd < 0)
                fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        return fd >= 0 && sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

/* `id` NULL: it is no event. */
static bool send_entry(const char *id, int level, const JournalFields *f, const char *text)
{
        Entry e;

        e.n = 0;
        add(&e, "MESSAGE=%s", text);
        add_word(&e, "MESSAGE_ID", id);
        add(&e, "PRIORITY=%d", level);
        add(&e, "SYSLOG_IDENTIFIER=%s", program_invocation_short_name);
        add_word(&e, "ACKGROUP_MESSAGE", f->message);
        add_word(&e, "ACKGROUP_RECEIVER", f->receiver);
        add_word(&e, "ACKGROUP_SENDER", f->sender);
        add_word(&e, "ACKGROUP_GROUP", f->group);
        add_word(&e, "ACKGROUP_REASON", f->reason);
        if (f->attempt > 0)
                add(&e, "ACKGROUP_ATTEMPT=%" PRIu32, f->attempt);
        return send_datagram(e.parts, 2 * (size_t) e.n);
}

bool journal_wants(JournalEvent event)
{
        return events[event].level <= log_get_level();
}

void journal_event(JournalEvent event, const JournalFields *fields, const char *format, ...)
{
        const int level = events[event].level;
        va_list ap;

        if (!journal_wants(event))
                return;
        /* The events of one format differ, so their id is the kind. */
        LogKind *k = log_admit(
                        level, events[event].id, level < LOG_INFO ? LOG_TROUBLE_MAX : LOG_ROUTINE_MAX);
        if (!k)
                return;
        char text[FIELD_MAX];
        va_start(ap, format);
        (void) vsnprintf(text, sizeof text, format, ap);
        va_end(ap);
        /* An entry that the journal does not take now waits as a line. */
        if (log_get_target() == LOG_TARGET_JOURNAL && send_entry(events[event].id, level, fields, text))
                log_limit_written(k, text);
        else
                log_admitted(k, level, text);
}

static void write_text(LogKind *k, int level, const JournalFields *fields, const char *text)
{
        if (log_get_target() == LOG_TARGET_JOURNAL && send_entry(NULL, level, fields, text))
                log_limit_written(k, text);
        else
                log_admitted(k, level, text);
}

const char *journal_text(const JournalFields *fields, const char *text)
{
        int level = LOG_INFO;

        if (text[0] == '<' && text[1] >= '0' && text[1] <= '7' && text[2] == '>') {
                level = text[1] - '0';
                text += 3;
        }
        LogKind *k = log_admit(LOG_INFO, "text", LOG_ROUTINE_MAX);
        if (k)
                write_text(k, level, fields, text);
        return text;
}

void journal_line(int level, const JournalFields *fields, const char *format, ...)
{
        char text[FIELD_MAX];
        va_list ap;

        if (level > log_get_level())
                return;
        LogKind *k = log_admit(level, format, LOG_TROUBLE_MAX);
        if (!k)
                return;
        va_start(ap, format);
        (void) vsnprintf(text, sizeof text, format, ap);
        va_end(ap);
        write_text(k, level, fields, text);
}
