/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/notify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/utf8.h"

static char remark[256];

void notify_ready(void)
{
        (void) sd_notify(0, "READY=1");
}

void notify_stopping(void)
{
        (void) sd_notify(0, "STOPPING=1");
}

void notify_alive(void)
{
        (void) sd_notify(0, "WATCHDOG=1");
}

void notify_status(const char *format, ...)
{
        char text[256];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(text, sizeof text, format, ap);
        va_end(ap);
        /* It may be cut within a character, and systemd takes UTF-8 only. */
        for (size_t n = strlen(text); n > 0 && !utf8_is_text(text, n);)
                text[--n] = '\0';
        (void) sd_notifyf(0, "STATUS=%s%s%s", text, remark[0] ? "; " : "", remark);
}

void notify_remark(const char *text)
{
        (void) snprintf(remark, sizeof remark, "%s", text);
}

void notify_extend(uint64_t usec)
{
        (void) sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%" PRIu64, usec);
}
