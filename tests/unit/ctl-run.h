/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <locale.h>
#include <signal.h>

#include "capture.h"
#include "ctl-service.h"

#include "ctl/run.h"

/* One run of ackctl against a scripted client. */
typedef struct Run {
        Capture capture;
        Ctl c;                  /* as main would set it */
        unsigned short columns; /* of the terminal; 0: none */
        char *called;
} Run;

static inline int run_words(Run *r, const ServiceMethods *methods, void *userdata, const char *const *words)
{
        Service *s = service_start(methods, userdata);
        char *argv[24] = {(char *) "ackctl"};
        int argc = 1, code;
        Ctl c = r->c;

        while (words[argc - 1]) {
                argv[argc] = (char *) words[argc - 1];
                argc++;
        }
        if (r->columns > 0)
                capture_begin_terminal(&r->capture, r->columns);
        else
                capture_begin(&r->capture);
        code = ctl_run(&c, argc, argv);
        capture_end(&r->capture);
        r->called = service_stop(s);
        assert_null(c.bus);
        assert_null(c.event);
        return code;
}

#define RUN(r, methods, userdata, ...)                                                                      \
        run_words(r, methods, userdata, (const char *const[]){"--system", __VA_ARGS__, NULL})

static inline void run_clear(Run *r)
{
        capture_clear(&r->capture);
        free(r->called);
        *r = (Run){};
}

/* For main(). */
static inline void run_prepare(void)
{
        sigset_t interrupts;

        /* One that comes before ackctl takes it is not lost. */
        (void) sigemptyset(&interrupts);
        (void) sigaddset(&interrupts, SIGINT);
        (void) sigprocmask(SIG_BLOCK, &interrupts, NULL);
        (void) setlocale(LC_CTYPE, "C.UTF-8");
        (void) setenv("TZ", "UTC", 1);
        (void) setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus", 1);
}
