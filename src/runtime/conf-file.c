/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/conf-file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str-util.h"
#include "base/utf8.h"

#define BLANKS          " \t\r\n"
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

typedef struct Reading {
        const char *path;
        ConfAssign assign;
        void *userdata;
        Error *error;
        char *section;        /* NULL: before the first one */
        char *whole;          /* the lines before this one that a backslash joins to it; NULL: none */
        unsigned line, first; /* numbers of this line, and of the first of those that are joined */
} Reading;

static int refuse(const Reading *in, const char *what)
{
        return error_set(in->error, -EINVAL, "%s:%u: %s", in->path, in->first, what);
}

/* Cuts the blanks at the end, and returns the text after those at the begin. */
static char *strip(char *text)
{
        size_t n;

        text += strspn(text, BLANKS);
        for (n = strlen(text); n > 0 && strchr(BLANKS, text[n - 1]);)
                n--;
        text[n] = '\0';
        return text;
}

/* A line without blanks around it, which is not empty. */
static int take_line(Reading *in, char *text)
{
        const size_t n = strlen(text);
        char *equals = strchr(text, '=');

        if (text[0] == '[' && text[n - 1] == ']') {
                text[n - 1] = '\0';
                return str_replace(&in->section, text + 1);
        }
        if (text[0] == '[' || !equals || equals == text)
                return refuse(in, "neither [Section] nor Key=value");
        if (!in->section)
                return refuse(in, "an assignment before the first [Section]");
        *equals = '\0';
        return in->assign(in->section, strip(text), strip(equals + 1), in->first, in->userdata, in->error);
}

static int append(char **to, const char *text)
{
        char *longer = str_format("%s%s", *to ?: "", text);

        if (!longer)
                return -ENOMEM;
        free(*to);
        *to = longer;
        return 0;
}

/* All lines that a backslash joins. */
static int take_whole(Reading *in)
{
        _cleanup_free_ char *whole = TAKE_PTR(in->whole);
        char *text = whole ? strip(whole) : NULL;

        return str_empty(text) ? 0 : take_line(in, text);
}

/* `n` bytes of `text`, which a NUL ends. */
static int take_physical(Reading *in, char *text, size_t n)
{
        const char *begin = text;
        bool goes_on;

        in->line++;
        if (!in->whole)
                in->first = in->line;
        if (in->line == 1)
                text = (char *) (str_after_prefix(text, BYTE_ORDER_MARK) ?: text);
        const char *first = text + strspn(text, BLANKS);
        if (*first == '#' || *first == ';')
                return 0;
        if (strlen(text) != n - (size_t) (text - begin) || !utf8_is_text(text, strlen(text)))
                return refuse(in, "not UTF-8 text");
        if (n + (in->whole ? strlen(in->whole) : 0) > CONF_LINE_MAX)
                return error_set(in->error, -EINVAL, "%s:%u: line is longer than %u bytes", in->path,
                                in->first, CONF_LINE_MAX);
        text = strip(text);
        n = strlen(text);
        goes_on = n > 0 && text[n - 1] == '\\';
        if (goes_on)
                text[n - 1] = ' ';
        int r = append(&in->whole, text);
        return r < 0 || goes_on ? r : take_whole(in);
}

int conf_file_read(const char *path, ConfAssign assign, void *userdata, Error *error)
{
        _cleanup_fclose_ FILE *file = fopen(path, "re");
        Reading in = {.path = path, .assign = assign, .userdata = userdata, .error = error};
        _cleanup_free_ char *text = NULL;
        size_t room = 0;
        ssize_t n = 0;
        int r = 0;

        if (!file)
                return error_set(error, -errno, "cannot read %s: %s", path, strerror(errno));
        while (r >= 0 && (n = getline(&text, &room, file)) >= 0)
                r = take_physical(&in, text, (size_t) n);
        if (r >= 0 && !feof(file))
                r = error_set(error, -EIO, "cannot read %s: %s", path, strerror(errno));
        else if (r >= 0)
                r = take_whole(&in);
        free(in.whole);
        free(in.section);
        return r;
}
