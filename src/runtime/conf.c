/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/conf.h"

#include <errno.h>
#include <glob.h>
#include <ini.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/parse-util.h"
#include "base/str-util.h"

static int check_range(uint64_t value, const ConfItem *item)
{
        return value < item->min || (item->max > 0 && value > item->max) ? -ERANGE : 0;
}

static int set_bool(const ConfItem *item, const char *value, void *field)
{
        return parse_bool(value, field);
}

static int set_unsigned(const ConfItem *item, const char *value, void *field)
{
        unsigned max = item->max > 0 ? (unsigned) item->max : UINT32_MAX;

        return parse_unsigned(value, (unsigned) item->min, max, field);
}

static int set_u64(const ConfItem *item, uint64_t value, void *field)
{
        int r = check_range(value, item);

        if (r >= 0)
                *(uint64_t *) field = value;
        return r;
}

static int set_size(const ConfItem *item, const char *value, void *field)
{
        uint64_t size;
        int r = parse_size(value, &size);

        return r < 0 ? r : set_u64(item, size, field);
}

static int set_duration(const ConfItem *item, const char *value, void *field)
{
        uint64_t usec;
        int r = parse_duration(value, &usec);

        return r < 0 ? r : set_u64(item, usec, field);
}

static int set_probability(const ConfItem *item, const char *value, void *field)
{
        return parse_probability(value, field);
}

static int set_string(const ConfItem *item, const char *value, void *field)
{
        return str_replace(field, value[0] ? value : NULL);
}

static int set_strings(const ConfItem *item, const char *value, void *field)
{
        char ***strings = field;

        if (value[0])
                return strv_append(strings, value);
        *strings = strv_free(*strings);
        return 0;
}

static int set_words(const ConfItem *item, const char *value, void *field)
{
        char ***words = field, **split;
        int r = str_split_words(value, &split);

        if (r < 0)
                return r;
        strv_free(*words);
        *words = split;
        return 0;
}

static int set_choice(const ConfItem *item, const char *value, void *field)
{
        const bool second = str_equal(value, item->choice[1]);

        if (!second && !str_equal(value, item->choice[0]))
                return -EINVAL;
        *(bool *) field = second;
        return 0;
}

static const struct {
        int (*set)(const ConfItem *item, const char *value, void *field);
        const char *form;
} types[] = {
                [CONF_BOOL] = {set_bool, "yes or no"},
                [CONF_UNSIGNED] = {set_unsigned, "a number"},
                [CONF_SIZE] = {set_size, "a number of bytes, with K, M or G behind"},
                [CONF_DURATION] = {set_duration, "a time such as 5s, 500ms or 1min 30s"},
                [CONF_PROBABILITY] = {set_probability, "a probability from 0 to 1, or a percentage"},
                [CONF_STRING] = {set_string, "text"},
                [CONF_STRINGS] = {set_strings, "text"},
                [CONF_WORDS] = {set_words, "a command line with its quotes closed"},
                [CONF_CHOICE] = {set_choice, NULL},
};

static int set_item(const ConfItem *item, const char *value, const char *where, void *object, Error *error)
{
        int r = types[item->type].set(item, value, (char *) object + item->offset);

        if (r == -ERANGE && item->max > 0)
                return error_set(error, r, "%s: %s is outside of %" PRIu64 " to %" PRIu64 "%s", where, value,
                                item->min, item->max, item->type == CONF_DURATION ? " microseconds" : "");
        if (r == -ERANGE)
                return error_set(error, r, "%s: %s is out of range", where, value);
        if (r == -EINVAL && item->type == CONF_CHOICE)
                return error_set(error, r, "%s: \"%s\" is neither %s nor %s", where, value, item->choice[0],
                                item->choice[1]);
        if (r == -EINVAL)
                return error_set(error, r, "%s: \"%s\" is not %s", where, value, types[item->type].form);
        return r;
}

static const ConfItem *find_item(
                const ConfTable *table, const char *section, const char *key, bool *ret_section)
{
        *ret_section = false;
        for (const ConfItem *item = table->items; item->key; item++) {
                if (!str_equal(item->section, section))
                        continue;
                *ret_section = true;
                if (str_equal(item->key, key))
                        return item;
        }
        return NULL;
}

typedef struct Reading {
        FILE *file;
        int line;
        const ConfTable *table;
        const char *path;
        void *object;
        Error *error;
        int r;
} Reading;

/* Distributions build libinih without line numbers. It gets its lines from here, so they are counted here.
 */
static char *next_line(char *buffer, int size, void *stream)
{
        Reading *in = stream;

        if (in->r < 0 || !fgets(buffer, size, in->file))
                return NULL;
        in->line++;
        if (!strchr(buffer, '\n') && !feof(in->file)) {
                in->r = error_set(in->error, -EINVAL, "%s:%d: line is longer than %d bytes", in->path,
                                in->line, size - 2);
                return NULL;
        }
        return buffer;
}

/* The callback of libinih: 0 means an error. */
static int on_assignment(void *userdata, const char *section, const char *key, const char *value)
{
        Reading *in = userdata;
        bool section_known;

        if (in->r < 0)
                return 0;
        for (const char *const *foreign = in->table->foreign; foreign && *foreign; foreign++)
                if (str_equal(section, *foreign))
                        return 1;

        const ConfItem *item = find_item(in->table, section, key, &section_known);
        if (item) {
                _cleanup_free_ char *where = str_format("%s:%d: %s=", in->path, in->line, key);
                in->r = where ? set_item(item, value, where, in->object, in->error) : -ENOMEM;
        } else if (section_known)
                in->r = error_set(in->error, -EINVAL, "%s:%d: unknown key %s= in [%s]", in->path, in->line,
                                key, section);
        else
                in->r = error_set(in->error, -EINVAL, "%s:%d: unknown section [%s]", in->path, in->line,
                                section);
        return in->r >= 0;
}

static int read_one(const ConfTable *table, const char *path, void *object, Error *error)
{
        _cleanup_fclose_ FILE *file = fopen(path, "re");
        if (!file)
                return error_set(error, -errno, "cannot read %s: %s", path, strerror(errno));

        Reading in = {.file = file, .table = table, .path = path, .object = object, .error = error};
        int line = ini_parse_stream(next_line, &in, on_assignment, &in);

        if (in.r < 0)
                return in.r;
        if (line != 0)
                return error_set(error, -EINVAL, "%s:%d: neither [Section] nor Key=value", path, line);
        return 0;
}

int conf_read(const ConfTable *table, const char *path, bool optional, void *object, Error *error)
{
        glob_t drop_ins;
        int r;

        r = read_one(table, path, object, error);
        if (r < 0 && !(r == -ENOENT && optional))
                return r;

        _cleanup_free_ char *pattern = str_format("%s.d/*.conf", path);
        if (!pattern)
                return -ENOMEM;
        int g = glob(pattern, 0, NULL, &drop_ins);
        if (g == GLOB_NOMATCH)
                return 0;
        if (g != 0)
                return error_set(error, -EIO, "cannot list %s", pattern);
        r = 0;
        for (size_t i = 0; i < drop_ins.gl_pathc && r >= 0; i++)
                r = read_one(table, drop_ins.gl_pathv[i], object, error);
        globfree(&drop_ins);
        return r;
}

int conf_set(const ConfTable *table, const char *section, const char *key, const char *value,
                const char *option, void *object, Error *error)
{
        bool section_known;
        const ConfItem *item = find_item(table, section, key, &section_known);

        assert(item);
        return set_item(item, value, option, object, error);
}

void conf_clear(const ConfTable *table, void *object)
{
        for (const ConfItem *item = table->items; item->key; item++) {
                void *field = (char *) object + item->offset;

                if (item->type == CONF_STRING)
                        free_clear(field);
                else if (item->type == CONF_STRINGS || item->type == CONF_WORDS)
                        *(char ***) field = strv_free(*(char ***) field);
        }
}
