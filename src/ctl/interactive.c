/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>

#include "base/parse-util.h"
#include "base/str-util.h"
#include "ctl/list.h"
#include "ctl/send.h"
#include "ctl/table.h"

/* A line without its end; NULL at the end of the input. */
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
                                value_string(r, "group"), style_begin(c->out_colour, state_style(state)),
                                state, style_end(c->out_colour, state_style(state)),
                                plain ? ", bare text" : "");
        }
        if (n > 0)
                printf("    a  any one of them\n");
        printf("    r  look again\n    q  leave\n\n");
}

/* What was chosen: a receiver's id, "" for any, or NULL: nothing that can be sent to. */
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

int ctl_interactive(Ctl *c)
{
        for (;;) {
                _cleanup_(cjsonp) cJSON *receivers = NULL;
                _cleanup_free_ char *answer = NULL, *text = NULL;
                int r = list_receivers(c, &receivers);

                if (r != 0)
                        return r;
                show_receivers(c, receivers);
                answer = ask("Receiver: ");
                if (!answer || str_equal(answer, "q"))
                        return EXIT_OK;
                const char *target = choose(receivers, answer);
                if (!target)
                        continue;
                text = ask("Message: ");
                if (!text)
                        return EXIT_OK;
                /* What went wrong has been told, and the list comes again. */
                (void) send_payload(c, str_empty(target) ? "any" : "to", target, text, strlen(text));
        }
}
