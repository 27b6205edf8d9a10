/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/help.h"

#include <stdlib.h>
#include <string.h>

#include "base/str-util.h"

enum {
        LIST = 1 << 0,
        SEND = 1 << 1,
        MESSAGES = 1 << 2,
        SHOW = 1 << 3,
        WAIT = 1 << 4,
        CANCEL = 1 << 5,
        MONITOR = 1 << 6,
        STATUS = 1 << 7,
        TRACE = 1 << 8,
        WHY = 1 << 9,
        DEAD = 1 << 10,
        DRAIN = 1 << 11,
        RESUME = 1 << 12,
};

static const Verb verbs[] = {
                {"list", "", 0, 0, LIST, verb_list, "Show the receivers",
                                "Shows the receivers that are there, and whether this client is connected "
                                "to them.\n"
                                "\nExample: ackctl list --group pictures --label zone=a\n"},
                {"send", "[MESSAGE]", 0, 1, SEND, verb_send, "Send a message and wait for its ack",
                                "Sends MESSAGE, the content of --file, or what comes on standard input. It "
                                "is\n"
                                "accepted as soon as it is on disk; then every step is shown until it is "
                                "acked,\n"
                                "and the reply is printed. Interrupting ackctl does not stop the message.\n"
                                "\nExamples: ackctl send --any hello\n"
                                "          ackctl send --to 1 --file photo.jpg --timeout 1min\n"
                                "          ackctl send --key user-17 --group orders --deadline 1h \"paid\"\n"
                                "          ackctl send --any --lines <jobs.txt\n"
                                "          date | ackctl send --any --group pictures --no-wait\n"},
                {"messages", "", 0, 0, MESSAGES, verb_messages, "Show messages, the newest first",
                                "Shows what waits, what is on its way, and the newest that came to their "
                                "end.\n"
                                "\nExample: ackctl messages --state queued --state waiting\n"},
                {"show", "ID…", 1, -1, SHOW, verb_show, "Show all about a message",
                                "Shows state, attempts, receiver, last error and reply of messages. An id "
                                "may be\n"
                                "cut after 6 digits.\n\nExample: ackctl show 5f0c1a2b\n"},
                {"wait", "ID…", 1, -1, WAIT, verb_wait, "Wait for messages that were sent",
                                "Shows the steps of each message until its end, and its reply, as send "
                                "does.\n"
                                "\nExample: ackctl wait $(ackctl send --any --no-wait hello)\n"},
                {"cancel", "ID…", 1, -1, CANCEL, verb_cancel, "Take messages back",
                                "A message that waits is taken back; a handler that runs is killed. When it "
                                "was\n"
                                "processed already, it stays acked.\n\nExample: ackctl cancel 5f0c1a2b\n"},
                {"trace", "ID…", 1, -1, TRACE, verb_trace, "Show every attempt of a message",
                                "Shows when and where each attempt was made, how it ended and how long it "
                                "took,\n"
                                "and for a message to several what became of it at each receiver.\n"
                                "\nExample: ackctl trace 5f0c1a2b\n"},
                {"why", "ID…", 1, -1, WHY, verb_why, "Say why a message is not done yet",
                                "Says in one sentence what a message waits for, and what would change "
                                "that.\n"
                                "\nExample: ackctl why 5f0c1a2b\n"},
                {"dead", "COMMAND [ID…]", 0, -1, DEAD, verb_dead, "Look after dead letters",
                                "Messages that were rejected, or ran out of attempts or time, are kept "
                                "until\n"
                                "somebody decides: \"dead list\" shows them, \"dead show ID\" all about "
                                "one, \"dead retry\n"
                                "ID\" tries it again, \"dead purge ID\" forgets it.\n"
                                "\nExample: ackctl dead retry --all\n"},
                {"drain", "RECEIVER…", 1, -1, DRAIN, verb_drain, "Send a receiver nothing new",
                                "No client sends anything new to the receiver, and it refuses what is new; "
                                "what it has\n"
                                "it finishes. Ends with \"ackctl resume\", or when the receiver is started "
                                "again.\n"
                                "\nExample: ackctl drain 2 && ackctl list\n"},
                {"resume", "RECEIVER…", 1, -1, RESUME, verb_resume, "End a drain",
                                "The receiver gets messages again.\n\nExample: ackctl resume 2\n"},
                {"monitor", "", 0, 0, MONITOR, verb_monitor, "Watch what happens",
                                "Prints a line for each step of every message and for receivers that come "
                                "and go.\n"
                                "\nExample: ackctl monitor --json=short | jq .event\n"},
                {"status", "", 0, 0, STATUS, verb_status, "Show how the client is",
                                "Shows the client, whether discovery answers, and how much waits.\n"
                                "\nExample: ackctl status\n"},
};

const OptionHelp option_helps[] = {
                {OPTION_TO, 0, "to", "RECEIVER", SEND, "this one: its name, also without @HOST, or id"},
                {OPTION_ANY, 0, "any", NULL, SEND, "whoever has room, of all groups or of --group"},
                {OPTION_ALL, 'a', "all", NULL, SEND, "every receiver; done when all have acked"},
                {OPTION_QUORUM, 0, "quorum", "K", SEND, "every receiver; done when K have acked"},
                {OPTION_KEY, 0, "key", "KEY", SEND, "the one that KEY belongs to, in order"},
                {OPTION_GROUP, 'g', "group", "GROUP", SEND | LIST, "only of this group"},
                {OPTION_LABEL, 'l', "label", "KEY=VALUE", SEND | LIST, "only with this label; repeatable"},
                {OPTION_INCLUDE_PLAIN, 0, "include-plain", NULL, SEND, "receivers of bare text, too"},
                {OPTION_FOLLOW_JOINS, 0, "follow-joins", NULL, SEND,
                                "with --all: those that join later, too"},
                {OPTION_IN, 0, "in", "TIME", SEND, "not before this time is over (10m)"},
                {OPTION_AT, 0, "at", "TIME", SEND, "not before then (18:00, 2030-01-31 18:00)"},
                {OPTION_DEADLINE, 0, "deadline", "TIME", SEND, "dead then, or after so long"},
                {OPTION_MAX_ATTEMPTS, 0, "max-attempts", "N", SEND, "dead after N; 0: never"},
                {OPTION_ACK_TIMEOUT, 0, "ack-timeout", "TIME", SEND, "no ack for so long: once more"},
                {OPTION_BACKOFF, 0, "backoff", "TIME", SEND, "pause after a failure; doubles; 0: none"},
                {OPTION_BACKOFF_MAX, 0, "backoff-max", "TIME", SEND, "but not beyond this"},
                {OPTION_PRIORITY, 0, "priority", "0…9", SEND, "9 goes before all others (4)"},
                {OPTION_IDEMPOTENCY_KEY, 0, "idempotency-key", "KEY", SEND, "sent twice, it is one message"},
                {OPTION_FILE, 'f', "file", "FILE", SEND, "the message; - is standard input"},
                {OPTION_LINES, 0, "lines", NULL, SEND, "every line of the input is a message"},
                {OPTION_NULL, 0, "null", NULL, SEND, "with --lines: ended by NUL, not by newline"},
                {OPTION_DURABILITY, 0, "durability", "HOW", SEND, "durable, or memory: lost in a crash"},
                {OPTION_NO_WAIT, 0, "no-wait", NULL, SEND, "print the id and do not wait"},
                {OPTION_TIMEOUT, 't', "timeout", "TIME", SEND | WAIT, "wait so long at most (5s, 1min)"},
                {OPTION_STATE, 0, "state", "STATE", MESSAGES, "only in this state; repeatable"},
                {OPTION_LIMIT, 'n', "limit", "NUMBER", MESSAGES, "so many (100)"},
                {OPTION_ALL, 'a', "all", NULL, MESSAGES, "all that are on disk"},
                {OPTION_ALL, 'a', "all", NULL, DEAD, "list, retry, purge: every dead letter"},
                {OPTION_JSON, 0, "json", "MODE", 0, "short, pretty or off"},
                {OPTION_NO_LEGEND, 0, "no-legend", NULL, 0, "no titles and no sums"},
                {OPTION_SYSTEM, 0, "system", NULL, 0, "the system's client"},
                {OPTION_USER, 0, "user", NULL, 0, "the client of this user's session"},
                {OPTION_HOST, 'H', "host", "[USER@]HOST", 0, "on another host, over SSH"},
                {OPTION_MACHINE, 'M', "machine", "CONTAINER", 0, "in a local container"},
                {OPTION_NO_ASK_PASSWORD, 0, "no-ask-password", NULL, 0, "never ask for a password"},
                {OPTION_HELP, 'h', "help", NULL, 0, "this text; also for each verb"},
                {OPTION_VERSION, 0, "version", NULL, 0, "which ackctl this is"},
                {},
};

const Verb *verb_find(const char *name)
{
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                if (str_equal(name, verbs[i].name))
                        return verbs + i;
        return NULL;
}

static void print_options(unsigned verb)
{
        for (const OptionHelp *o = option_helps; o->name; o++) {
                char left[40], letter[8] = "   ";

                if (verb ? !(o->verbs & verb) : o->verbs != 0)
                        continue;
                if (o->letter)
                        (void) snprintf(letter, sizeof letter, "-%c ", o->letter);
                (void) snprintf(left, sizeof left, "%s--%s%s%s", letter, o->name, o->value ? "=" : "",
                                o->value ?: "");
                /* As wide on the screen, whatever its bytes. */
                printf("  %s%*s %s\n", left, MAX(26 - (int) mbstowcs(NULL, left, 0), 0), "", o->text ?: "");
        }
}

void help_usage(FILE *to)
{
        fputs("Usage: ackctl [OPTION…] VERB …\n"
              "       ackctl                     on a terminal: choose a receiver, type messages\n"
              "\"ackctl --help\" shows what there is.\n",
                        to);
}

static void print_codes(void)
{
        puts("\nExit status: 0 done (of send and wait: acked), 1 failed, 2 wrong usage,\n"
             "3 rejected, dead or cancelled, 4 timeout, 5 no service, 6 no such receiver or message.");
}

void help_print(const Verb *v)
{
        if (v) {
                printf("Usage: ackctl %s [OPTION…]%s%s\n\n%s", v->name, v->arguments[0] ? " " : "",
                                v->arguments, v->text);
                puts("\nOptions:");
                print_options(v->bit);
                print_options(0);
                print_codes();
                return;
        }
        puts("Usage: ackctl [OPTION…] VERB …\n\n"
             "Sends messages to receivers of a group, and shows what became of them.\n"
             "Without a verb, on a terminal: choose a receiver, type messages.\n\nVerbs:");
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                printf("  %-9s %s%*s %s\n", verbs[i].name, verbs[i].arguments,
                                MAX(14 - (int) mbstowcs(NULL, verbs[i].arguments, 0), 0), "",
                                verbs[i].summary);
        puts("\nOptions of every verb (\"ackctl VERB --help\" shows those of its own):");
        print_options(0);
        puts("\nWithout --user or --system: the system's client, or the session's when only that one\n"
             "is there.");
        print_codes();
}
