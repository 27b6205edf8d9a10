/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The numbers of states, events and actions, as Promela has to know them. The steps themselves are those of
 * src/model/delivery.c, which the verifier calls. */
#include <ctype.h>
#include <stdio.h>

#include "model/delivery.h"

static void print_define(const char *prefix, const char *name, unsigned number)
{
        printf("#define %s_", prefix);
        for (const char *p = name; *p; p++)
                putchar(*p == '-' ? '_' : toupper((unsigned char) *p));
        printf(" %u\n", number);
}

int main(void)
{
        static const struct {
                const char *name;
                unsigned bit;
        } actions[] = {
                        {"charge", DELIVERY_CHARGE},
                        {"arm-ack", DELIVERY_ARM_ACK},
                        {"arm-retry", DELIVERY_ARM_RETRY},
                        {"settle", DELIVERY_SETTLE},
                        {"ask-cancel", DELIVERY_ASK_CANCEL},
                        {"drop-binding", DELIVERY_DROP_BINDING},
        };

        for (unsigned s = 0; s < _DELIVERY_STATE_MAX; s++)
                print_define("ST", delivery_state_to_string(s), s);
        for (unsigned e = 0; e < _DELIVERY_EVENT_MAX; e++)
                print_define("EV", delivery_event_to_string(e), e);
        for (unsigned i = 0; i < ELEMENTSOF(actions); i++)
                print_define("ACT", actions[i].name, actions[i].bit);
        return 0;
}
