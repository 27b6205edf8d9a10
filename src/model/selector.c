/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/selector.h"

#include <errno.h>

#include "base/str-util.h"
#include "base/string-table.h"
#include "model/name.h"

static const char *const mode_names[_SELECTOR_MODE_MAX] = {
                [SELECTOR_TO] = "to",
                [SELECTOR_ANY] = "any",
};
DEFINE_STRING_TABLE(selector_mode, SelectorMode, mode_names)

void selector_clear(Selector *s)
{
        free(s->labels);
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

char *selector_format(const Selector *s)
{
        char id[SD_ID128_UUID_STRING_MAX];
        char *text;

        if (s->mode == SELECTOR_TO)
                return str_format("to/%s", sd_id128_to_uuid_string(s->receiver, id));
        text = str_format("any%s/%s/", s->plain ? "+plain" : "", s->group);
        for (size_t i = 0; i < s->n_labels && text; i++) {
                char *longer = str_format(
                                "%s%s%s=%s", text, i > 0 ? "," : "", s->labels[i].key, s->labels[i].value);
                free(text);
                text = longer;
        }
        return text;
}

static int parse_labels(const char *text, Selector *s)
{
        _cleanup_free_ char *copy = strdup(text);
        char *rest = copy, *word;
        Label label;
        int r;

        if (!copy)
                return -ENOMEM;
        while ((word = strsep(&rest, ","))) {
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

int selector_parse(const char *text, Selector *ret)
{
        Selector s = {};
        const char *rest = str_after_prefix(text, "to/");
        int r;

        if (rest) {
                r = sd_id128_from_string(rest, &s.receiver);
                if (r >= 0)
                        *ret = s;
                return r < 0 ? -EINVAL : 0;
        }
        s.mode = SELECTOR_ANY;
        rest = str_after_prefix(text, "any+plain/");
        s.plain = rest;
        if (!rest)
                rest = str_after_prefix(text, "any/");
        const char *slash = rest ? strchr(rest, '/') : NULL;
        if (!slash || (size_t) (slash - rest) > NAME_MAX_LENGTH)
                return -EINVAL;
        memcpy(s.group, rest, (size_t) (slash - rest));
        r = s.group[0] == '\0' || name_is_valid(s.group) ? parse_labels(slash + 1, &s) : -EINVAL;
        if (r < 0) {
                selector_clear(&s);
                return r;
        }
        *ret = s;
        return 0;
}

bool selector_matches(const Selector *s, const ReceiverInfo *receiver)
{
        if (s->mode == SELECTOR_TO)
                return sd_id128_equal(s->receiver, receiver->id);
        if (receiver->plain && !s->plain)
                return false;
        if (s->group[0] != '\0' && !str_equal(s->group, receiver->group))
                return false;
        return receiver_info_has_labels(receiver, s->labels, s->n_labels);
}
