/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/conf.h"

#include <errno.h>
#include <glob.h>
#include <inttypes.h>

#include "base/parse-util.h"
#include "base/str-util.h"
#include "base/time-util.h"
#include "runtime/conf-file.h"

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

static int check_text(const ConfItem *item, const char *value, const char *where, Error *error)
{
        Error why = {};
        int r = item->check && value[0] != '\0' ? item->check(value, &why) : 0;

        return r < 0 ? error_set(error, r, "%s: %s", where, why.text) : 0;
}

static int set_item(const ConfItem *item, const char *value, const char *where, void *object, Error *error)
{
        int r = check_text(item, value, where, error);

        if (r < 0)
                return r;
        r = types[item->type].set(item, value, (char *) object + item->offset);
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
        const ConfTable *table;
        const char *path;
        void *object;
} Reading;

static bool is_foreign(const ConfTable *table, const char *section)
{
        for (const char *const *foreign = table->foreign; foreign && *foreign; foreign++)
                if (str_equal(section, *foreign))
                        return true;
        return false;
}

static int on_assignment(const char *section, const char *key, const char *value, unsigned line,
                void *userdata, Error *error)
{
        const Reading *in = userdata;
        bool section_known;

        if (is_foreign(in->table, section))
                return 0;
        const ConfItem *item = find_item(in->table, section, key, &section_known);
        if (item) {
                _cleanup_free_ char *where = str_format("%s:%u: %s=", in->path, line, key);
                return where ? set_item(item, value, where, in->object, error) : -ENOMEM;
        }
        if (section_known)
                return error_set(error, -EINVAL, "%s:%u: unknown key %s= in [%s]", in->path, line, key,
                                section);
        return error_set(error, -EINVAL, "%s:%u: unknown section [%s]", in->path, line, section);
}

static int read_one(const ConfTable *table, const char *path, void *object, Error *error)
{
        return conf_file_read(path, on_assignment, &(Reading){table, path, object}, error);
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

static char *format_exactly(uint64_t usec)
{
        static const struct {
                uint64_t usec;
                const char *name;
        } units[] = {{USEC_PER_SEC, "s"}, {USEC_PER_MSEC, "ms"}, {1, "us"}};
        size_t i = 0;

        if (usec == USEC_INFINITY)
                return strdup("infinity");
        while (usec % units[i].usec != 0)
                i++;
        return str_format("%" PRIu64 "%s", usec / units[i].usec, units[i].name);
}

static char *join(char *const *words)
{
        char *all = strdup("");

        for (; all && words && *words; words++) {
                char *longer = str_format("%s%s%s", all, all[0] ? " " : "", *words);
                free(all);
                all = longer;
        }
        return all;
}

char *conf_format(const ConfItem *item, const void *object)
{
        const void *field = (const char *) object + item->offset;

        switch (item->type) {
        case CONF_BOOL:
                return strdup(*(const bool *) field ? "yes" : "no");
        case CONF_UNSIGNED:
                return str_format("%u", *(const unsigned *) field);
        case CONF_SIZE:
                return str_format("%" PRIu64, *(const uint64_t *) field);
        case CONF_DURATION:
                return format_exactly(*(const uint64_t *) field);
        case CONF_PROBABILITY:
                return str_format("%g", *(const double *) field);
        case CONF_STRING:
                return strdup(*(char *const *) field ?: "");
        case CONF_STRINGS:
        case CONF_WORDS:
                return join(*(char **const *) field);
        case CONF_CHOICE:
                return strdup(item->choice[*(const bool *) field]);
        }
        return NULL;
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
