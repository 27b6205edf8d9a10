/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/name.h"

#include <ctype.h>
#include <string.h>

#include "model/limits.h"

bool name_is_valid(const char *s)
{
        size_t n = strlen(s);

        if (n == 0 || n > NAME_MAX_LENGTH || !isalnum((unsigned char) s[0]))
                return false;
        for (size_t i = 0; i < n; i++)
                if (!isalnum((unsigned char) s[i]) && !strchr("._@:-", s[i]))
                        return false;
        return true;
}

bool name_matches(const char *name, const char *s)
{
        size_t n = strlen(s);

        return n > 0 && strncmp(name, s, n) == 0 && (name[n] == '\0' || name[n] == '@');
}
