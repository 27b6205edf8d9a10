/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/str-util.h"

#include <errno.h>
#include <stdarg.h>

#include "base/utf8.h"

const char *str_after_prefix(const char *s, const char *prefix)
{
        size_t n = strlen(prefix);

        return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

char *str_format(const char *format, ...)
{
        char *s;
        va_list ap;

        va_start(ap, format);
        int n = vasprintf(&s, format, ap);
        va_end(ap);
        return n < 0 ? NULL : s;
}

int str_replace(char **p, const char *s)
{
        char *copy = NULL;

        if (s) {
                copy = strdup(s);
                if (!copy)
                        return -ENOMEM;
        }
        free(*p);
        *p = copy;
        return 0;
}

char **strv_free(char **v)
{
        for (char **s = v; s && *s; s++)
                free(*s);
        free(v);
        return NULL;
}

size_t strv_length(char *const *v)
{
        size_t n = 0;

        while (v && v[n])
                n++;
        return n;
}

int strv_append(char ***v, const char *s)
{
        size_t n = strv_length(*v);
        _cleanup_free_ char *copy = strdup(s);
        if (!copy)
                return -ENOMEM;

        char **grown = reallocarray(*v, n + 2, sizeof *grown);
        if (!grown)
                return -ENOMEM;
        grown[n] = TAKE_PTR(copy);
        grown[n + 1] = NULL;
        *v = grown;
        return 0;
}

char **strv_copy(char *const *v)
{
        _cleanup_(strv_freep) char **copy = calloc(1, sizeof *copy);
        if (!copy)
                return NULL;

        for (; v && *v; v++)
                if (strv_append(&copy, *v) < 0)
                        return NULL;
        return TAKE_PTR(copy);
}

/* Takes one word from *s into `word` (room for the whole of *s). True when there was one. */
static int next_word(const char **s, char *word, bool *ret_found)
{
        const char *p = *s + strspn(*s, " \t\n");
        char quote = 0;
        size_t n = 0;
        bool found = *p != '\0';

        for (; *p && (quote || !strchr(" \t\n", *p)); p++) {
                if (quote == 0 && (*p == '\'' || *p == '"'))
                        quote = *p;
                else if (quote && *p == quote)
                        quote = 0;
                else if (*p == '\\' && quote != '\'') {
                        if (p[1] == '\0')
                                return -EINVAL;
                        word[n++] = *++p;
                } else
                        word[n++] = *p;
        }
        if (quote)
                return -EINVAL;

        word[n] = '\0';
        *s = p;
        *ret_found = found;
        return 0;
}

int str_split_words(const char *s, char ***ret)
{
        _cleanup_(strv_freep) char **words = calloc(1, sizeof *words);
        _cleanup_free_ char *word = malloc(strlen(s) + 1);
        bool found;
        int r;

        if (!words || !word)
                return -ENOMEM;

        for (;;) {
                r = next_word(&s, word, &found);
                if (r < 0)
                        return r;
                if (!found)
                        break;
                r = strv_append(&words, word);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(words);
        return 0;
}

/* Length of the printable UTF-8 character at `p`, or 0. Control characters (C0, DEL, C1) are not printable.
 */
static size_t utf8_printable(const unsigned char *p, size_t n)
{
        uint32_t c;
        size_t length = utf8_decode(p, n, &c);

        return length == 0 || c < 0x20 || (c >= 0x7F && c < 0xA0) ? 0 : length;
}

char *str_printable(const void *data, size_t n, size_t max)
{
        const unsigned char *p = data;
        size_t take = MIN(n, max), out = 0;
        char *s = malloc(take * 4 + STRLEN("…") + 1);

        if (!s)
                return NULL;

        for (size_t i = 0; i < take;) {
                size_t k = utf8_printable(p + i, take - i);
                if (k > 0) {
                        memcpy(s + out, p + i, k);
                        out += k;
                        i += k;
                        continue;
                }
                out += (size_t) (p[i] == '\n' ? sprintf(s + out, "\\n") : sprintf(s + out, "\\x%02x", p[i]));
                i++;
        }
        strcpy(s + out, take < n ? "…" : "");
        return s;
}
