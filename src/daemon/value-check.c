/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/value-check.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "model/address.h"
#include "model/limits.h"
#include "model/name.h"
#include "model/receiver-info.h"

/* The path of a socket could have blanks, but two addresses in one line are the likelier mistake. */
static int refuse_blanks(const char *value, const char *advice, Error *error)
{
        return strpbrk(value, " \t") ? error_set(error, -EINVAL, "\"%s\" has blanks: %s", value, advice) : 0;
}

int check_address(const char *value, Error *error)
{
        Address address;
        int r = refuse_blanks(value, "each address has a line of its own", error);

        return r < 0 ? r : address_parse(value, &address, error);
}

int check_url(const char *value, Error *error)
{
        Address address;
        int r = refuse_blanks(value, "it is one address, and its path has none", error);

        return r < 0 ? r : address_parse_url(value, &address, error);
}

int check_name(const char *value, Error *error)
{
        return name_is_valid(value) ? 0
                                    : error_set(error, -EINVAL,
                                                      "\"%s\" is not a valid name (1 to %u letters, digits "
                                                      "and ._@:-, "
                                                      "beginning with a letter or digit)",
                                                      value, NAME_MAX_LENGTH);
}

int check_label(const char *value, Error *error)
{
        Label label;

        return label_parse(value, &label, error);
}

int check_log_level(const char *value, Error *error)
{
        int level = log_level_from_string(value);

        return level >= 0 ? 0 : error_set(error, level, "unknown log level \"%s\"", value);
}
