/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "base/parse-util.h"
#include "base/str-util.h"
#include "base/time-util.h"
#include "base/utf8.h"
#include "model/address.h"
#include "model/name.h"
#include "model/selector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
        if (!condition)
                abort();
}

/* What was read and written again is read as the same. */
static void check_address(const char *word, int (*parse)(const char *s, Address *ret, Error *error))
{
        char text[ADDRESS_STRING_MAX], twice[ADDRESS_STRING_MAX];
        Address a, b;
        Error error = {};

        if (parse(word, &a, &error) < 0) {
                must(error.text[0] != '\0');
                return;
        }
        must(address_parse(address_format(&a, text), &b, NULL) >= 0);
        must(str_equal(text, address_format(&b, twice)));
}

static void check_selector(const char *word)
{
        _cleanup_free_ char *text = NULL, *twice = NULL;
        Selector a = {}, b = {};

        if (selector_parse(word, &a) >= 0) {
                text = selector_format(&a);
                must(text && selector_parse(text, &b) >= 0);
                twice = selector_format(&b);
                must(str_equal(text, twice) && selector_text_mode(text) == a.mode);
        }
        selector_clear(&a);
        selector_clear(&b);
}

static void check_numbers(const char *word)
{
        uint64_t number;
        double probability;
        bool flag;

        (void) parse_bool(word, &flag);
        (void) parse_size(word, &number);
        (void) parse_duration(word, &number);
        (void) parse_timestamp(word, &number);
        must(parse_u64(word, 3, 9, &number) < 0 || (number >= 3 && number <= 9));
        must(parse_probability(word, &probability) < 0 || (probability >= 0 && probability <= 1));
}

static void check_words(const char *word)
{
        char **words = NULL;

        if (str_split_words(word, &words) >= 0)
                must(strv_length(words) <= strlen(word));
        strv_free(words);
}

static void check_label(const char *word)
{
        Label label;
        Error error = {};

        if (label_parse(word, &label, &error) < 0)
                must(error.text[0] != '\0');
        else
                must(name_is_valid(label.key) && name_is_valid(label.value));
}

/* No byte reaches a terminal that could do anything there. */
static void check_printable(const uint8_t *data, size_t size)
{
        _cleanup_free_ char *text = str_printable(data, size, 100);

        must(text && utf8_is_text(text, strlen(text)));
        for (const char *c = text; *c; c++)
                must((unsigned char) *c >= ' ' && *c != 127);
}

/* Every word that people type. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_free_ char *word = strndup(size > 0 ? (const char *) data : "", size);

        must(word);
        check_address(word, address_parse);
        check_address(word, address_parse_url);
        check_selector(word);
        check_numbers(word);
        check_words(word);
        check_label(word);
        check_printable(data, size);
        return 0;
}
