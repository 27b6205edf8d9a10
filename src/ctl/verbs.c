/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/verbs.h"

#include "ctl/options.h"

#define SEND_OPTIONS   (OPTION_BIT(OPTION_STATE) - OPTION_BIT(OPTION_TO)) /* --to to --timeout */
#define SELECT_OPTIONS (OPTION_BIT(OPTION_GROUP) | OPTION_BIT(OPTION_LABEL))
#define PAGE_OPTIONS   (OPTION_BIT(OPTION_STATE) | OPTION_BIT(OPTION_LIMIT) | OPTION_BIT(OPTION_ALL_MESSAGES))

const Verb verbs_table[] = {
                {"list", "", 0, 0, SELECT_OPTIONS | OPTION_BIT(OPTION_ALL_NAMES), verb_list,
                                "Show the receivers",
                                "Shows the receivers, and whether this client is connected to them. With\n"
                                "--all also those that left (offline): a message to one of them waits.\n"
                                "\nExample: ackctl list --group pictures --label zone=a\n"},
                {"send", "[MESSAGE]", 0, 1, SEND_OPTIONS, verb_send, "Send a message and wait for its ack",
                                "Sends MESSAGE, the content of --file, or standard input. The message is\n"
                                "accepted as soon as it is on disk. Then every step is shown until it is\n"
                                "acked, and the reply is printed. Interrupting ackctl does not stop the\n"
                                "message.\n"
                                "\nExamples: ackctl send --any hello\n"
                                "          ackctl send --to 1 --file photo.jpg --timeout 1min\n"
                                "          ackctl send --key user-17 --group orders --deadline 1h \"paid\"\n"
                                "          ackctl send --any --lines <jobs.txt\n"
                                "          date | ackctl send --any --group pictures --no-wait\n"},
                {"messages", "", 0, 0, PAGE_OPTIONS, verb_messages, "Show messages, the newest first",
                                "Shows the messages that are not done, and the newest of those that are "
                                "done.\n"
                                "\nExample: ackctl messages --state queued --state waiting\n"},
                {"show", "ID…", 1, -1, 0, verb_show, "Show all about a message",
                                "Shows state, attempts, receiver, last error and reply of each message. "
                                "The\n"
                                "first 6 digits of an id are enough.\n\nExample: ackctl show 5f0c1a2b\n"},
                {"wait", "ID…", 1, -1, OPTION_BIT(OPTION_TIMEOUT), verb_wait, "Wait until messages are done",
                                "Shows the steps of each message until its end, and its reply, as send "
                                "does.\n"
                                "\nExample: ackctl wait $(ackctl send --any --no-wait hello)\n"},
                {"cancel", "ID…", 1, -1, 0, verb_cancel, "Cancel messages",
                                "A message that waits is cancelled; a handler that runs is killed. A "
                                "message\n"
                                "that was already processed stays acked.\n\nExample: ackctl cancel "
                                "5f0c1a2b\n"},
                {"trace", "ID…", 1, -1, 0, verb_trace, "Show every attempt of a message",
                                "Shows when and where each attempt was made, how it ended and how long it\n"
                                "took. For a message to several receivers, it also shows the result at "
                                "each.\n"
                                "\nExample: ackctl trace 5f0c1a2b\n"},
                {"why", "ID…", 1, -1, 0, verb_why, "Say why a message is not done yet",
                                "Says in one sentence what a message waits for, and what would help.\n"
                                "\nExample: ackctl why 5f0c1a2b\n"},
                {"dead", "COMMAND [ID…]", 0, -1, OPTION_BIT(OPTION_ALL_DEAD_LETTERS), verb_dead,
                                "Manage dead letters",
                                "Messages that were rejected, or ran out of attempts or time, are kept "
                                "until\n"
                                "you decide: \"dead list\" shows them, \"dead show ID\" shows all about "
                                "one,\n"
                                "\"dead retry ID\" sends it again, \"dead purge ID\" deletes it.\n"
                                "\nExample: ackctl dead retry --all\n"},
                {"drain", "RECEIVER…", 1, -1, 0, verb_drain, "Send nothing new to a receiver",
                                "No client sends new messages to the receiver, and the receiver refuses "
                                "them.\n"
                                "It finishes what it has. \"ackctl resume\" or a restart ends the drain.\n"
                                "\nExample: ackctl drain 2 && ackctl list\n"},
                {"resume", "RECEIVER…", 1, -1, 0, verb_resume, "End a drain",
                                "The receiver gets messages again.\n\nExample: ackctl resume 2\n"},
                {"monitor", "", 0, 0, 0, verb_monitor, "Show events as they happen",
                                "Prints a line for each step of every message, and for each receiver that\n"
                                "comes or goes.\n"
                                "\nExample: ackctl monitor --json=short | jq .event\n"},
                {"status", "", 0, 0, 0, verb_status, "Show the state of the client",
                                "Shows the client, whether discovery answers, and how many messages wait.\n"
                                "\nExample: ackctl status\n"},
                {},
};
