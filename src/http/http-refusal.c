/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "http/http-refusal.h"

#include "base/str-util.h"

char *http_refusal(unsigned status, unsigned *ret_status)
{
        static const struct {
                unsigned status;
                const char *code, *message;
        } table[] = {
                        {403, "web-page", "web pages may not ask"},
                        {404, "not-found", "there is nothing at this path"},
                        {405, "method-not-allowed", "this path does not take this method"},
                        {413, "too-large", "the body is too large"},
                        {415, "wrong-type", "the body must be application/json"},
                        {421, "wrong-host", "this address is that of localhost, not of this name"},
                        {503, "unavailable", "out of memory, or stopping"},
        };
        size_t i = 0;

        while (i + 1 < ELEMENTSOF(table) && table[i].status != status)
                i++;
        *ret_status = table[i].status;
        return str_format("{\"error\":{\"code\":\"%s\",\"field\":null,\"message\":\"%s\"}}", table[i].code,
                        table[i].message);
}
