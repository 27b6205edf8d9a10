/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/options.h"

#include <getopt.h>
#include <stdio.h>

#include "base/log.h"
#include "base/str-util.h"
#include "config.h"
#include "runtime/directories.h"

static const Option common[] = {
                {"state-dir", "StateDirectory", OPTION_VALUE},
                {"log-level", "LogLevel", OPTION_VALUE},
};

static const struct option first[] = {
                {"help", no_argument, NULL, 'h'},
                {"version", no_argument, NULL, 'v'},
                {"config", required_argument, NULL, 'c'},
                {"check", no_argument, NULL, 'k'},
};

/* One pass over the command line. */
typedef struct Scan {
        const Options *o;
        void *object;
        Error *error;
        const Option *rows[OPTIONS_MAX +
                           ELEMENTSOF(common)]; /* index: the value that getopt_long() returns */
        struct option getopt[OPTIONS_MAX + ELEMENTSOF(common) + ELEMENTSOF(first) + 1];
        bool seen[OPTIONS_MAX + ELEMENTSOF(common)];
        const char *config;
        bool check;
} Scan;

static void add_row(Scan *s, size_t i, const Option *row)
{
        s->rows[i] = row;
        s->getopt[i] = (struct option){
                        .name = row->name,
                        .has_arg = row->use == OPTION_FLAG ? optional_argument : required_argument,
                        .val = (int) i,
        };
}

static void build(Scan *s)
{
        size_t n = 0;

        for (const Option *row = s->o->options; row->name; row++) {
                assert(n < OPTIONS_MAX);
                add_row(s, n++, row);
        }
        for (size_t i = 0; i < ELEMENTSOF(common); i++)
                add_row(s, n++, common + i);
        memcpy(s->getopt + n, first, sizeof first);
}

static const ConfItem *item_of(const Options *o, const char *key)
{
        for (const ConfItem *item = o->table->items; item->key; item++)
                if (str_equal(item->key, key))
                        return item;
        return NULL;
}

static int set(Scan *s, int i, const char *value)
{
        const Option *row = s->rows[i];
        const ConfItem *item = item_of(s->o, row->key);
        char name[64];

        assert(item);
        (void) snprintf(name, sizeof name, "--%s", row->name);
        /* The first value of a list replaces those of the files; the others are added. */
        if (item->type == CONF_STRINGS && !s->seen[i])
                (void) conf_set(s->o->table, s->o->section, row->key, "", name, s->object, s->error);
        s->seen[i] = true;
        return conf_set(s->o->table, s->o->section, row->key, value, name, s->object, s->error);
}

/* Returns 'h' for --help, 'v' for --version, else 0 or negative errno. optind is then the first word after
 * the options. */
static int scan(Scan *s, int argc, char **argv, bool early)
{
        int c, r;

        optind = 0;
        while ((c = getopt_long(argc, argv, "+h", s->getopt, NULL)) != -1) {
                if (c == '?')
                        return error_set(s->error, -EINVAL, "see --help");
                if (c == 'h' || c == 'v')
                        return c;
                if (c == 'c') {
                        s->config = optarg;
                        continue;
                }
                if (c == 'k') {
                        s->check = true;
                        continue;
                }
                if ((s->rows[c]->use == OPTION_EARLY) != early)
                        continue;
                r = set(s, c, optarg ?: "yes");
                if (r < 0)
                        return r;
        }
        return 0;
}

static int read_below(const Scan *s, const char *directory, const char *name)
{
        _cleanup_free_ char *path = str_format("%s/%s", directory, name);

        return path ? conf_read(s->o->table, path, true, s->object, s->error) : -ENOMEM;
}

static int read_files(const Scan *s)
{
        _cleanup_free_ char *directory = NULL, *second = NULL;
        int r;

        if (s->config)
                return conf_read(s->o->table, s->config, false, s->object, s->error);
        r = directory_of_configuration(&directory);
        if (r < 0)
                return error_set(s->error, r, "cannot find the directory of the configuration");
        r = read_below(s, directory, "ackgroup.conf");
        if (r < 0 || !s->o->second_file)
                return r;
        second = s->o->second_file(s->object);
        return second ? read_below(s, directory, second) : 0;
}

static int take_words(const Scan *s, char **words)
{
        const ConfItem *item = s->o->words ? item_of(s->o, s->o->words) : NULL;

        if (!words[0])
                return 0;
        if (!item)
                return error_set(s->error, -EINVAL, "unexpected argument \"%s\"", words[0]);
        char **copy = strv_copy(words), ***field = (void *) ((char *) s->object + item->offset);
        if (!copy)
                return -ENOMEM;
        strv_free(*field);
        *field = copy;
        return 0;
}

void options_apply_log_level(const Options *o, const void *object)
{
        const ConfItem *item = item_of(o, "LogLevel");
        const char *word = *(char *const *) (const void *) ((const char *) object + item->offset);
        int level = word ? log_level_from_string(word) : -EINVAL;

        if (level >= 0)
                log_set_level(level);
}

int options_read(const Options *o, int argc, char **argv, void *object, Error *error)
{
        optind = 0; /* a second call begins anew */
        Scan s = {.o = o, .object = object, .error = error};
        int r;

        build(&s);
        r = scan(&s, argc, argv, true);
        if (r == 'h' || r == 'v') {
                (void) fputs(r == 'h' ? o->help : "ackgroup " ACKGROUP_VERSION "\n", stdout);
                return OPTIONS_ANSWERED;
        }
        if (r >= 0)
                r = read_files(&s);
        if (r >= 0)
                r = scan(&s, argc, argv, false);
        if (r >= 0)
                r = take_words(&s, argv + optind);
        return r < 0 ? r : s.check ? OPTIONS_CHECK : OPTIONS_RUN;
}
