/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What main() does in each daemon: read the configuration, start the root object, run its loop, and read the
 * configuration again on SIGHUP. */

#include "runtime/loop.h"
#include "runtime/options.h"

typedef struct Program {
        const char *name; /* "ackgroup-discovery", for messages */
        const Options *options;
        /* The configuration is a plain struct of `config_size` bytes that the table of `options` fills. It
         * begins as a copy of `defaults`; what the table allocates is freed here. */
        const void *defaults;
        size_t config_size;
        /* Refuses what the table cannot check. May be NULL. Negative errno with the reason. */
        int (*check)(const void *config, Error *error);
        /* Makes the root object and its loop. `config` lives longer than the root; the root may change it.
         * Frees what it has made when it fails. Negative errno with the reason; a positive number is the
         * exit status of the process, also with the reason. */
        int (*start)(void *config, void **ret_root, Loop **ret_loop, Error *error);
        /* Instead of start(): does one thing, and the program ends. NULL: start() is called. */
        int (*task)(void *config, Error *error);
        /* Takes over what can change while it runs: may move values out of `fresh`, which is freed
         * afterwards. When it fails, nothing has changed. */
        int (*reload)(void *root, void *fresh, Error *error);
        void (*free)(void *root); /* also the loop */
} Program;

/* Returns the exit status: EX_CONFIG for a configuration or a state that cannot be used (systemd does not
 * start such a program again), EXIT_FAILURE for anything else that fails. */
int program_run(const Program *p, int argc, char **argv);
