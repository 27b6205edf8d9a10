/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/selector.h"

#include <errno.h>
#include <stdio.h>

#include "base/parse-util.h"
#include "base/str-util.h"
#include "base/string-table.h"
#include "model/limits.h"
#include "model/name.h"

static const char *const mode_names[_SELECTOR_MODE_MAX] = {
                [SELECTOR_TO] = "to",
                [SELECTOR_ANY] = "any",
                [SELECTOR_ALL] = "all",
                [SELECTOR_QUORUM] = "quorum",
                [SELECTOR_KEY] = "key",
};
DEFINE_STRING_TABLE(selector_mode, SelectorMode, mode_names)

void selector_clear(Selector *s)
{
        free(s->labels);
        free(s->key);
        free(s->name);
        *s = (Selector){};
}

static int label_compare(const Label *a, const Label *b)
{
        int r = strcmp(a->key, b->key);

        return r != 0 ? r : strcmp(a->value, b->value);
}

int selector_add_label(Selector *s, const Label *label)
{
        size_t at = 0;

        while (at < s->n_labels && label_compare(s->labels + at, label) < 0)
                at++;
        if (at < s->n_labels && label_compare(s->labels + at, label) == 0)
                return 0;
        if (s->n_labels >= LABELS_MAX)
                return -E2BIG;

        Label *labels = realloc(s->labels, (s->n_labels + 1) * sizeof *labels);
        if (!labels)
                return -ENOMEM;
        s->labels = labels;
        memmove(labels + at + 1, labels + at, (s->n_labels - at) * sizeof *labels);
        labels[at] = *label;
        s->n_labels++;
        return 0;
}

static char *format_labels(const Selector *s)
{
        char *text = strdup("");

        for (size_t i = 0; i < s->n_labels && text; i++) {
                char *longer = str_format(
                                "%s%s%s=%s", text, i > 0 ? "," : "", s->labels[i].key, s->labels[i].value);
                free(text);
                text = longer;
        }
        return text;
}

char *selector_format(const Selector *s)
{
        char id[SD_ID128_UUID_STRING_MAX], quorum[16] = "";

        if (s->mode == SELECTOR_TO)
                return str_format("to/%s", s->name ?: sd_id128_to_uuid_string(s->receiver, id));
        _cleanup_free_ char *labels = format_labels(s);
        if (!labels)
                return NULL;
        if (s->mode == SELECTOR_QUORUM)
                (void) snprintf(quorum, sizeof quorum, "=%u", s->quorum);
        return str_format("%s%s%s%s/%s/%s%s%s", selector_mode_to_string(s->mode), quorum,
                        s->plain ? "+plain" : "", s->follow ? "+follow" : "", s->group, labels,
                        s->mode == SELECTOR_KEY ? "/" : "", s->key ?: "");
}

static int parse_receiver(const char *text, Selector *s)
{
        if (sd_id128_from_string(text, &s->receiver) >= 0)
                return 0;
        return name_is_valid(text) ? str_replace(&s->name, text) : -EINVAL;
}

static int parse_labels(char *text, Selector *s)
{
        char *word;
        Label label;
        int r;

        while ((word = strsep(&text, ","))) {
                if (str_empty(word))
                        continue;
                r = label_parse(word, &label, NULL);
                if (r >= 0)
                        r = selector_add_label(s, &label);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* "quorum=2+plain" */
static int parse_mode(char *text, Selector *s)
{
        char *word = strsep(&text, "+"), *flag;
        char *number = strchr(word, '=');
        int mode;

        if (number)
                *number++ = '\0';
        mode = selector_mode_from_string(word);
        if (mode < 0 || mode == SELECTOR_TO || !number != (mode != SELECTOR_QUORUM))
                return -EINVAL;
        s->mode = (SelectorMode) mode;
        while ((flag = strsep(&text, "+")))
                if (str_equal(flag, "plain"))
                        s->plain = true;
                else if (str_equal(flag, "follow") && s->mode == SELECTOR_ALL)
                        s->follow = true;
                else
                        return -EINVAL;
        return number ? parse_unsigned(number, 1, MEMBERS_MAX, &s->quorum) : 0;
}

static int parse_group(char *text, Selector *s)
{
        char *mode = strsep(&text, "/"), *group = strsep(&text, "/"), *labels;
        int r;

        /* The key is the rest of the text: it may contain anything, even a slash. */
        labels = text;
        r = text ? parse_mode(mode, s) : -EINVAL;
        if (r >= 0 && s->mode == SELECTOR_KEY) {
                labels = strsep(&text, "/");
                r = text ? str_replace(&s->key, text) : -EINVAL;
        }
        if (r < 0)
                return r;
        if (strlen(group) > NAME_MAX_LENGTH || (group[0] != '\0' && !name_is_valid(group)))
                return -EINVAL;
        strcpy(s->group, group);
        return parse_labels(labels, s);
}

int selector_parse(const char *text, Selector *ret)
{
        const char *receiver = str_after_prefix(text, "to/");
        Selector s = {};
        int r;

        if (receiver)
                r = parse_receiver(receiver, &s);
        else {
                _cleanup_free_ char *copy = strdup(text);
                r = copy ? parse_group(copy, &s) : -ENOMEM;
        }
        if (r < 0) {
                selector_clear(&s);
                return r == -ERANGE ? -EINVAL : r;
        }
        *ret = s;
        return 0;
}

SelectorMode selector_text_mode(const char *text)
{
        size_t n = strcspn(text, "=+/");

        for (SelectorMode mode = SELECTOR_TO; mode < _SELECTOR_MODE_MAX; mode++)
                if (strlen(mode_names[mode]) == n && strncmp(mode_names[mode], text, n) == 0)
                        return mode;
        return SELECTOR_TO;
}

bool selector_matches(const Selector *s, const ReceiverInfo *receiver)
{
        if (s->mode == SELECTOR_TO)
                return s->name ? str_equal(s->name, receiver->name)
                               : sd_id128_equal(s->receiver, receiver->id);
        if (receiver->plain && !s->plain)
                return false;
        if (s->group[0] != '\0' && !str_equal(s->group, receiver->group))
                return false;
        return receiver_info_has_labels(receiver, s->labels, s->n_labels);
}
