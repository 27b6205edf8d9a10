/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a function prints: standard output and standard error go to files in memory, or to a terminal of a
 * given width, and come back as text. */

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd-util.h"
#include "base/str-util.h"

typedef struct Capture {
        int saved[2], files[2];
        int terminal;    /* its master, or -1 */
        char *out, *err; /* after capture_end(); with a terminal everything is in `out` */
} Capture;

static inline void capture_redirect(Capture *c, int out, int err)
{
        (void) fflush(stdout);
        (void) fflush(stderr);
        for (int i = 0; i < 2; i++) {
                c->saved[i] = fcntl(i + 1, F_DUPFD_CLOEXEC, 10);
                assert_true(c->saved[i] >= 0);
                assert_true(dup2(i == 0 ? out : err, i + 1) >= 0);
        }
}

static inline void capture_begin(Capture *c)
{
        *c = (Capture){.terminal = -1};
        for (int i = 0; i < 2; i++)
                assert_true((c->files[i] = memfd_create("capture", MFD_CLOEXEC)) >= 0);
        capture_redirect(c, c->files[0], c->files[1]);
}

static inline void capture_begin_terminal(Capture *c, unsigned short columns)
{
        const struct winsize size = {.ws_row = 25, .ws_col = columns};
        struct termios raw;
        int slave;

        *c = (Capture){.files = {-1, -1}};
        assert_int_equal(openpty(&c->terminal, &slave, NULL, NULL, &size), 0);
        assert_int_equal(tcgetattr(slave, &raw), 0);
        cfmakeraw(&raw);
        assert_int_equal(tcsetattr(slave, TCSANOW, &raw), 0);
        capture_redirect(c, slave, slave);
        (void) close(slave);
}

#define CAPTURE_END '\x1f'

/* What was written to a terminal reaches its master a little later. */
static inline char *capture_read_terminal(int master)
{
        static char text[65536];
        size_t n = 0;

        while (n == 0 || text[n - 1] != CAPTURE_END) {
                ssize_t k = read(master, text + n, sizeof text - n);
                assert_true(k > 0);
                n += (size_t) k;
        }
        text[n - 1] = '\0';
        return strdup(text);
}

static inline void capture_end(Capture *c)
{
        size_t size;

        (void) fflush(stdout);
        (void) fflush(stderr);
        if (c->terminal >= 0) {
                assert_int_equal(write_all(STDOUT_FILENO, &(char){CAPTURE_END}, 1), 0);
                c->out = capture_read_terminal(c->terminal);
                c->err = strdup("");
        }
        for (int i = 0; i < 2; i++) {
                (void) dup2(c->saved[i], i + 1);
                (void) close(c->saved[i]);
        }
        clearerr(stdout);
        if (c->terminal >= 0) {
                (void) close(c->terminal);
                return;
        }
        for (int i = 0; i < 2; i++) {
                (void) lseek(c->files[i], 0, SEEK_SET);
                assert_int_equal(read_all(c->files[i], 1 << 20, i == 0 ? &c->out : &c->err, &size), 0);
                (void) close(c->files[i]);
        }
}

static inline void capture_clear(Capture *c)
{
        free(c->out);
        free(c->err);
        *c = (Capture){};
}

/* What the program reads on standard input. */
static inline void capture_set_input(const char *text)
{
        int file = memfd_create("input", MFD_CLOEXEC);

        assert_true(file >= 0);
        assert_int_equal(write_all(file, text, strlen(text)), 0);
        (void) lseek(file, 0, SEEK_SET);
        __fpurge(stdin);
        clearerr(stdin);
        assert_true(dup2(file, STDIN_FILENO) >= 0);
        (void) close(file);
}

static inline void assert_contains(const char *text, const char *part)
{
        if (!strstr(text, part)) {
                print_error("\"%s\" is not in:\n%s\n", part, text);
                fail();
        }
}
