/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/interactive.h"

#include <stdio.h>
#include <string.h>

#include "base/parse-util.h"
#include "base/str-util.h"
#include "ctl/print.h"
#include "ctl/query.h"
#include "ctl/send.h"

/* Reads a line, without its newline; NULL at the end of the input. */
static char *ask(const char *question)
{
        char *line = NULL;
        size_t size = 0;

        printf("%s", question);
        (void) fflush(stdout);
        ssize_t n = getline(&line, &size, stdin);
        if (n < 0) {
                free(line);
                putchar('\n');
                return NULL;
        }
        line[strcspn(line, "\n")] = '\0';
        return line;
}

static void show_receivers(const Ctl *c, const cJSON *receivers)
{
        unsigned number = 0, n = (unsigned) cJSON_GetArraySize(receivers);
        const cJSON *r;

        printf("\n%u receiver%s:\n\n", n, n == 1 ? "" : "s");
        cJSON_ArrayForEach(r, receivers) {
                const char *state = value_string(r, "state");
                bool plain = cJSON_IsTrue(cJSON_GetObjectItem(r, "plain"));

                printf("  %3u  %-24s  %-16s  %s%s%s%s\n", ++number, value_string(r, "name"),
                                value_string(r, "group"), style_begin(c->out_colour, style_of_word(state)),
                                state, style_end(c->out_colour, style_of_word(state)),
                                plain ? ", plain text" : "");
        }
        if (n > 0)
                printf("    a  any one of them\n");
        printf("    r  look again\n    q  leave\n\n");
}

/* Returns the user's choice: the id of a receiver, "" for any receiver, or NULL for an invalid answer. */
static const char *choose(const cJSON *receivers, const char *answer)
{
        unsigned n = (unsigned) cJSON_GetArraySize(receivers), number;

        if (n > 0 && str_equal(answer, "a"))
                return "";
        if (n > 0 && parse_unsigned(answer, 1, n, &number) >= 0)
                return value_string(cJSON_GetArrayItem(receivers, (int) number - 1), "id");
        if (!str_equal(answer, "r") && !str_empty(answer))
                printf("There is no \"%s\" in the list.\n", answer);
        return NULL;
}

/* Lets the user choose a receiver and type a message, and sends it. *ret_done: the user leaves. Returns an
 * exit code. A failed message does not end the dialogue. */
static int send_one(Ctl *c, Follow **f, bool *ret_done)
{
        _cleanup_(cjsonp) cJSON *receivers = NULL;
        _cleanup_free_ char *answer = NULL, *text = NULL;
        const char *target;
        int r = query_receivers(c, &receivers);

        *ret_done = true;
        if (r != 0)
                return r;
        show_receivers(c, receivers);
        answer = ask("Receiver: ");
        if (!answer || str_equal(answer, "q"))
                return EXIT_OK;
        target = choose(receivers, answer);
        if (target) {
                text = ask("Message: ");
                if (!text)
                        return EXIT_OK;
                if (!*f)
                        r = follow_new(c, f);
                if (r == 0)
                        (void) send_payload(
                                        c, *f, str_empty(target) ? "any" : "to", target, text, strlen(text));
        }
        *ret_done = false;
        return EXIT_OK;
}

int ctl_interactive(Ctl *c)
{
        _cleanup_(follow_freep) Follow *f = NULL;
        bool done = false;
        int r = EXIT_OK;

        while (!done)
                r = send_one(c, &f, &done);
        return r;
}
