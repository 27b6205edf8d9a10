/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/program.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/fd-util.h"
#include "base/log.h"
#include "base/str-util.h"
#include "runtime/journal.h"
#include "runtime/notify.h"
#include "runtime/timer.h"

#define LOG_AGAIN_USEC (USEC_PER_SEC / 10)
#define HEAP_KEPT      (2 << 20)
#define MMAP_THRESHOLD (2 << 20) /* more than the largest usual payload */

typedef struct Run {
        const Program *program;
        int argc;
        char **argv;
        void *config, *root;
        char **values; /* of the configuration at the start: for each item of its table, as conf_format() */
        Timer log;     /* writes what the log could not write at once */
} Run;

static const char *reason(const Error *error, int r)
{
        return error->text[0] || r >= 0 ? error->text : strerror(-r);
}

static void *config_free(const Program *p, void *config)
{
        if (config)
                conf_clear(p->options->table, config);
        free(config);
        return NULL;
}

/* An OptionsWish, or negative errno. *ret is for the caller in any case. */
static int config_read(const Run *run, void **ret, Error *error)
{
        const Program *p = run->program;
        void *config = malloc(p->config_size);
        int r;

        *ret = config;
        if (!config)
                return -ENOMEM;
        memcpy(config, p->defaults, p->config_size);
        r = options_read(p->options, run->argc, run->argv, config, error);
        if (r < 0 || r == OPTIONS_ANSWERED || !p->check)
                return r;
        int x = p->check(config, error);
        return x < 0 ? x : r;
}

static bool is_key(const ConfTable *table, const char *key)
{
        for (const ConfItem *item = table->items; item->key; item++)
                if (str_equal(item->key, key))
                        return true;
        return false;
}

/* Keeps the values of the start; the root may take the configuration away. */
static int keep_values(Run *run)
{
        const ConfTable *table = run->program->options->table;
        int r = 0;

        for (const char *const *live = table->live; live && *live; live++)
                assert(is_key(table, *live));
        for (const ConfItem *item = table->items; item->key && r >= 0; item++) {
                _cleanup_free_ char *value = conf_format(item, run->config);
                r = value ? strv_append(&run->values, value) : -ENOMEM;
        }
        return r;
}

static bool is_live(const ConfTable *table, const char *key)
{
        for (const char *const *live = table->live; live && *live; live++)
                if (str_equal(*live, key))
                        return true;
        return false;
}

/* "Group=, Name=": what is different from the start, and stays so until the next one. "" for nothing. */
static char *find_later(const Run *run, const void *fresh)
{
        const ConfTable *table = run->program->options->table;
        char *all = strdup("");

        for (size_t i = 0; all && table->items[i].key; i++) {
                _cleanup_free_ char *value = conf_format(table->items + i, fresh);

                if (is_live(table, table->items[i].key) || str_equal(value, run->values[i]))
                        continue;
                char *longer = str_format("%s%s%s=", all, all[0] ? ", " : "", table->items[i].key);
                free(all);
                all = longer;
        }
        return all;
}

static void on_reload(void *userdata)
{
        _cleanup_free_ char *later = NULL;
        Run *run = userdata;
        Error error = {};
        void *fresh;
        int r;

        r = config_read(run, &fresh, &error);
        if (r >= 0) {
                later = find_later(run, fresh);
                r = run->program->reload(run->root, fresh, &error);
        }
        if (r >= 0)
                options_apply_log_level(run->program->options, fresh);
        if (r < 0)
                log_error("Cannot reload, everything stays as it is: %s", reason(&error, r));
        else if (!str_empty(later))
                log_warning("Reloaded the configuration; a restart is needed for %s", later);
        else
                log_notice("Reloaded the configuration");
        config_free(run->program, fresh);
}

static void on_log_timer(void *userdata)
{
        Run *run = userdata;
        const uint64_t again = log_tick();

        if (again != USEC_INFINITY)
                (void) timer_arm_in(&run->log, again);
}

static void on_log_wake(void *userdata)
{
        Run *run = userdata;

        if (!timer_is_armed(&run->log))
                (void) timer_arm_in(&run->log, LOG_AGAIN_USEC);
}

static int run_loop(Run *run, Loop *loop)
{
        int r = timer_init(&run->log, loop, "log", on_log_timer, run);

        if (r < 0)
                return r;
        log_on_wake(on_log_wake, run);
        on_log_timer(run);
        loop_set_reload(loop, on_reload, run);
        r = loop_run(loop);
        log_on_wake(NULL, NULL);
        timer_clear(&run->log);
        return r;
}

/* The state is damaged, or a newer program wrote it: a new start finds the same. */
static bool is_hopeless(int r)
{
        return r == -EUCLEAN || r == -EPROTO;
}

static int start_and_run(Run *run)
{
        const Program *p = run->program;
        Error error = {};
        Loop *loop = NULL;
        int r;

        r = p->start(run->config, &run->root, &loop, &error);
        if (r != 0) {
                if (r == -EUCLEAN)
                        journal_event(JOURNAL_UNREADABLE, &(JournalFields){}, "%s: %s", p->name,
                                        reason(&error, r));
                else
                        log_error("%s: %s", p->name, reason(&error, r));
                notify_status("%s", reason(&error, r));
                return is_hopeless(r) ? EX_CONFIG : r < 0 ? EXIT_FAILURE : r;
        }
        r = run_loop(run, loop);
        if (r < 0)
                log_error_errno(r, "%s: the event loop failed", p->name);
        p->free(run->root);
        return r == 0 || r == EX_CONFIG ? r : EXIT_FAILURE;
}

static int run_task(Run *run)
{
        const Program *p = run->program;
        Error error = {};
        int r = p->task(run->config, &error);

        if (r < 0)
                log_error("%s: %s", p->name, reason(&error, r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* A batch takes again what the batch before it gave back. With the defaults the heap would shrink and grow
 * with each of them, and the system would clear the same pages again and again. */
static void keep_heap(void)
{
        (void) mallopt(M_TRIM_THRESHOLD, HEAP_KEPT);
        (void) mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD);
}

int program_run(const Program *p, int argc, char **argv)
{
        Run run = {.program = p, .argc = argc, .argv = argv};
        Error error = {};
        int r, status = EXIT_SUCCESS;

        keep_heap();
        fd_open_standard();
        fd_raise_limit();
        r = config_read(&run, &run.config, &error);
        if (r == OPTIONS_RUN) {
                options_apply_log_level(p->options, run.config);
                int x = keep_values(&run);
                r = x < 0 ? x : r;
        }
        if (r < 0) {
                log_error("%s: %s", p->name, reason(&error, r));
                notify_status("%s", reason(&error, r));
                status = r == -ENOMEM ? EXIT_FAILURE : EX_CONFIG;
        } else if (r == OPTIONS_RUN)
                status = p->task ? run_task(&run) : start_and_run(&run);
        config_free(p, run.config);
        strv_free(run.values);
        log_finish();
        return status;
}
