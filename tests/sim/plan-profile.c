/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/plan-profile.h"

#include <string.h>

#include "sim/plan-draw.h"

/* Groups of faults, for the tables below. */
#define KILLS    [STEP_KILL] = 10, [STEP_KILL_AT] = 10
#define RESTARTS [STEP_TERMINATE] = 8, [STEP_RELOAD] = 3, [STEP_DRAIN] = 3
#define POWER    [STEP_POWER_OFF] = 8
#define PAUSES   [STEP_FREEZE] = 5, [STEP_SUSPEND] = 2
#define NETWORK                                                                                             \
        [STEP_PARTITION] = 6, [STEP_SLOW_LINK] = 4, [STEP_RESET] = 6, [STEP_BLACKHOLE] = 4,                 \
        [STEP_LOSE_ANSWERS] = 4
#define SLOW_DISK [STEP_DISK_SLOW] = 4, [STEP_DISK_HANG] = 3
#define BAD_DISK  [STEP_DISK_FULL] = 3, [STEP_DISK_ERROR] = 3

/* What profiles have that say nothing else. */
static const unsigned char usual_moods[_HANDLER_MOOD_MAX] = {
                [MOOD_FAIL] = 4,
                [MOOD_REJECT] = 2,
                [MOOD_HANG] = 2,
                [MOOD_CANNOT] = 2,
                [MOOD_KILL] = 2,
                [MOOD_TALK] = 1,
                [MOOD_FORK] = 2,
};
static const unsigned char usual_modes[_SELECTOR_MODE_MAX] = {
                [SELECTOR_TO] = 4,
                [SELECTOR_ANY] = 6,
                [SELECTOR_ALL] = 2,
                [SELECTOR_QUORUM] = 2,
                [SELECTOR_KEY] = 4,
};
static const unsigned char usual_features[_FEATURE_MAX] = {
                [FEATURE_BULK] = 60,
                [FEATURE_IDEMPOTENCY] = 60,
                [FEATURE_REPEAT] = 20,
                [FEATURE_PRIORITY] = 50,
                [FEATURE_DELAY] = 20,
                [FEATURE_DEADLINE] = 15,
                [FEATURE_ATTEMPTS] = 20,
                [FEATURE_TRANSIENT] = 20,
                [FEATURE_FOLLOW] = 30,
                [FEATURE_POISON] = 5,
                [FEATURE_FAILURES] = 20,
                [FEATURE_LEAVES] = 20,
                [FEATURE_LARGE] = 20,
                [FEATURE_LONG] = 10,
                [FEATURE_CANCEL] = 10,
                [FEATURE_REVIVE] = 5,
                [FEATURE_PURGE] = 5,
};

const Profile profiles_table[] = {
                {
                                .name = "small",
                                .text = "one client, one or two receivers, few messages, many faults close "
                                        "together",
                                .weight = 25,
                                .clients = {1, 1},
                                .receivers = {1, 2},
                                .machines = {1, 3},
                                .messages = {1, 20},
                                .faults = {2, 30},
                                .seconds = {2, 30},
                                .fault = {KILLS, RESTARTS, POWER, PAUSES, NETWORK, SLOW_DISK, BAD_DISK,
                                                [STEP_CLOCK] = 2, [STEP_MEMORY] = 2, [STEP_HANDLERS] = 4},
                },
                {
                                .name = "usual",
                                .text = "a bit of every fault",
                                .weight = 15,
                                .clients = {1, 3},
                                .receivers = {2, 5},
                                .machines = {1, 4},
                                .messages = {20, 300},
                                .faults = {3, 40},
                                .seconds = {10, 90},
                                .fault = {KILLS, RESTARTS, POWER, PAUSES, NETWORK, SLOW_DISK,
                                                BAD_DISK, [STEP_CLOCK] = 3, [STEP_MEMORY] = 2,
                                                [STEP_HANDLERS] = 4, [STEP_FORGET] = 2},
                },
                {
                                .name = "calm",
                                .text = "no faults, load of every kind",
                                .weight = 3,
                                .clients = {1, 3},
                                .receivers = {1, 6},
                                .machines = {1, 4},
                                .messages = {10, 500},
                                .seconds = {5, 60},
                                .feature = {[FEATURE_TRANSIENT] = 30},
                },
                {
                                .name = "network",
                                .text = "partitions, resets, lost acks, slow links",
                                .weight = 10,
                                .clients = {1, 3},
                                .receivers = {1, 5},
                                .machines = {2, 4},
                                .messages = {10, 200},
                                .faults = {3, 40},
                                .seconds = {10, 90},
                                .fault = {NETWORK, [STEP_KILL] = 2, [STEP_SUSPEND] = 2,
                                                [STEP_TERMINATE] = 2},
                                .slow_net = true,
                },
                {
                                .name = "power",
                                .text = "kills, losses of power, failing disks",
                                .weight = 12,
                                .clients = {1, 2},
                                .receivers = {1, 4},
                                .machines = {1, 3},
                                .messages = {5, 150},
                                .faults = {3, 30},
                                .seconds = {5, 60},
                                .fault = {KILLS, [STEP_POWER_OFF] = 20, BAD_DISK, SLOW_DISK},
                },
                {
                                .name = "disk",
                                .text = "disks that are full, slow, hang, or fail",
                                .weight = 8,
                                .clients = {1, 2},
                                .receivers = {1, 4},
                                .machines = {1, 3},
                                .messages = {5, 150},
                                .faults = {3, 30},
                                .seconds = {5, 90},
                                .fault = {[STEP_DISK_SLOW] = 6,
                                                [STEP_DISK_HANG] = 6,
                                                [STEP_DISK_FULL] = 6,
                                                [STEP_DISK_ERROR] = 6,
                                                [STEP_KILL] = 2,
                                                [STEP_POWER_OFF] = 3,
                                                [STEP_TERMINATE] = 2},
                                .slow_disk = true,
                },
                {
                                .name = "frozen",
                                .text = "processes and machines that stand still, clocks that step",
                                .weight = 6,
                                .clients = {1, 2},
                                .receivers = {1, 4},
                                .machines = {1, 4},
                                .messages = {5, 150},
                                .faults = {3, 25},
                                .seconds = {10, 120},
                                .fault = {[STEP_FREEZE] = 10,
                                                [STEP_SUSPEND] = 6,
                                                [STEP_CLOCK] = 5,
                                                [STEP_KILL] = 2,
                                                [STEP_DISK_HANG] = 2,
                                                [STEP_RESET] = 2},
                },
                {
                                .name = "restart",
                                .text = "orderly restarts, reloads, draining",
                                .weight = 10,
                                .clients = {1, 3},
                                .receivers = {1, 5},
                                .machines = {1, 3},
                                .messages = {10, 200},
                                .faults = {3, 40},
                                .seconds = {10, 90},
                                .fault = {[STEP_TERMINATE] = 20,
                                                [STEP_RELOAD] = 6,
                                                [STEP_DRAIN] = 6,
                                                [STEP_KILL] = 2,
                                                [STEP_RESET] = 2},
                },
                {
                                .name = "identity",
                                .text = "receivers that are replaced under their name, discovery that "
                                        "forgets",
                                .weight = 6,
                                .clients = {1, 2},
                                .receivers = {1, 5},
                                .machines = {1, 3},
                                .messages = {5, 150},
                                .faults = {2, 20},
                                .seconds = {10, 120},
                                .fault = {[STEP_REPLACE] = 10,
                                                [STEP_FORGET] = 8,
                                                [STEP_KILL] = 4,
                                                [STEP_TERMINATE] = 4,
                                                [STEP_PARTITION] = 3,
                                                [STEP_LOSE_ANSWERS] = 3,
                                                [STEP_SUSPEND] = 2},
                                .feature = {[FEATURE_DEADLINE] = 60},
                },
                {
                                .name = "handlers",
                                .text = "handlers that fail, hang, kill their receiver, or leave something "
                                        "behind",
                                .weight = 8,
                                .clients = {1, 2},
                                .receivers = {1, 4},
                                .machines = {1, 2},
                                .messages = {5, 150},
                                .faults = {3, 25},
                                .seconds = {10, 90},
                                .fault = {[STEP_HANDLERS] = 20,
                                                [STEP_TERMINATE] = 4,
                                                [STEP_KILL] = 3,
                                                [STEP_RESET] = 2},
                                .feature = {[FEATURE_POISON] = 20,
                                                [FEATURE_FAILURES] = 50,
                                                [FEATURE_LONG] = 40,
                                                [FEATURE_CANCEL] = 30},
                },
                {
                                .name = "memory",
                                .text = "allocations that fail",
                                .weight = 6,
                                .clients = {1, 2},
                                .receivers = {1, 3},
                                .machines = {1, 2},
                                .messages = {5, 100},
                                .faults = {2, 20},
                                .seconds = {5, 60},
                                .fault = {[STEP_MEMORY] = 20,
                                                [STEP_KILL] = 3,
                                                [STEP_TERMINATE] = 3,
                                                [STEP_RESET] = 3},
                },
                {
                                .name = "keys",
                                .text = "order for each key, with receivers that come and go",
                                .weight = 8,
                                .clients = {1, 3},
                                .receivers = {2, 5},
                                .machines = {1, 3},
                                .messages = {10, 200},
                                .faults = {3, 30},
                                .seconds = {10, 120},
                                .fault = {KILLS, RESTARTS, POWER, PAUSES,
                                                NETWORK, [STEP_FORGET] = 2, [STEP_HANDLERS] = 2},
                                .mode = {[SELECTOR_KEY] = 10, [SELECTOR_ANY] = 1},
                                .feature = {[FEATURE_TRANSIENT] = 20, [FEATURE_FAILURES] = 40},
                },
                {
                                .name = "fanout",
                                .text = "messages to several receivers, quorums",
                                .weight = 7,
                                .clients = {1, 2},
                                .receivers = {2, 6},
                                .machines = {1, 4},
                                .messages = {5, 100},
                                .faults = {3, 30},
                                .seconds = {10, 90},
                                .fault = {KILLS, RESTARTS, POWER, PAUSES, NETWORK,
                                                BAD_DISK, [STEP_HANDLERS] = 4},
                                .mode = {[SELECTOR_ALL] = 5, [SELECTOR_QUORUM] = 6},
                                .feature = {[FEATURE_CANCEL] = 20, [FEATURE_POISON] = 5},
                },
                {
                                .name = "ends",
                                .text = "cancelling, deadlines, limits of attempts, dead letters",
                                .weight = 7,
                                .clients = {1, 2},
                                .receivers = {1, 4},
                                .machines = {1, 3},
                                .messages = {5, 120},
                                .faults = {3, 30},
                                .seconds = {10, 90},
                                .fault = {KILLS, RESTARTS, POWER, PAUSES,
                                                NETWORK, [STEP_HANDLERS] = 8, [STEP_CLOCK] = 3},
                                .mood = {[MOOD_FAIL] = 4,
                                                [MOOD_REJECT] = 6,
                                                [MOOD_HANG] = 2,
                                                [MOOD_CANNOT] = 2},
                                .feature = {[FEATURE_CANCEL] = 60,
                                                [FEATURE_DEADLINE] = 50,
                                                [FEATURE_ATTEMPTS] = 60,
                                                [FEATURE_REVIVE] = 40,
                                                [FEATURE_PURGE] = 20,
                                                [FEATURE_DELAY] = 40},
                },
                {
                                .name = "crowded",
                                .text = "little credit, full outboxes, many callers",
                                .weight = 7,
                                .clients = {1, 4},
                                .receivers = {1, 3},
                                .machines = {1, 3},
                                .messages = {30, 300},
                                .faults = {0, 20},
                                .seconds = {5, 60},
                                .fault = {KILLS, RESTARTS, NETWORK, PAUSES, SLOW_DISK},
                                .feature = {[FEATURE_BULK] = 95,
                                                [FEATURE_LARGE] = 40,
                                                [FEATURE_PRIORITY] = 80,
                                                [FEATURE_LONG] = 20,
                                                [FEATURE_TRANSIENT] = 30},
                                .crowded = true,
                },
                {
                                .name = "many",
                                .text = "3 clients, 6 receivers, thousands of messages in bulk: for speed",
                                .weight = 3,
                                .clients = {3, 3},
                                .receivers = {6, 6},
                                .machines = {1, 4},
                                .messages = {2000, 6000},
                                .faults = {2, 12},
                                .seconds = {10, 40},
                                .fault = {KILLS, RESTARTS, POWER, NETWORK, [STEP_FREEZE] = 3},
                                .mode = {[SELECTOR_TO] = 3, [SELECTOR_ANY] = 8, [SELECTOR_KEY] = 3},
                                .feature = {[FEATURE_BULK] = 99,
                                                [FEATURE_IDEMPOTENCY] = 60,
                                                [FEATURE_FAILURES] = 2,
                                                [FEATURE_LEAVES] = 30},
                                .bare = true,
                                .fast = true,
                },
                {
                                .name = "syncs",
                                .text = "processes and machines that end next to a sync, syncs that fail",
                                .percent = 10,
                                .clients = {1, 1},
                                .receivers = {1, 3},
                                .machines = {1, 2},
                                .messages = {3, 60},
                                .faults = {3, 30},
                                .seconds = {2, 20},
                                .fault = {[STEP_KILL_AT_SYNC] = 20,
                                                [STEP_POWER_AT_SYNC] = 20,
                                                [STEP_SYNC_ERROR] = 10,
                                                [STEP_TERMINATE] = 2},
                                .mode = {[SELECTOR_TO] = 2,
                                                [SELECTOR_ANY] = 3,
                                                [SELECTOR_ALL] = 4,
                                                [SELECTOR_QUORUM] = 2,
                                                [SELECTOR_KEY] = 2},
                                .feature = {[FEATURE_REPEAT] = 60},
                },
                {
                                .name = "late",
                                .text = "frames that come late, from clients that start again",
                                .percent = 10,
                                .clients = {1, 1},
                                .receivers = {1, 2},
                                .machines = {2, 3},
                                .messages = {10, 40},
                                .faults = {3, 30},
                                .seconds = {1, 6},
                                .fault = {[STEP_ORPHAN] = 20,
                                                [STEP_STALL] = 20,
                                                [STEP_TERMINATE] = 3,
                                                [STEP_HANDLERS] = 8},
                                .mood = {[MOOD_REJECT] = 1},
                                .mode = {[SELECTOR_TO] = 1, [SELECTOR_ANY] = 2},
                                .feature = {[FEATURE_CANCEL] = 70,
                                                [FEATURE_ATTEMPTS] = 50,
                                                [FEATURE_INSIST] = 99},
                                .bare = true,
                                .slow_net = true,
                },
                /* Damage that no promise covers in full; plan.h says what remains to be judged. */
                {
                                .name = "damage",
                                .text = "bits flip in files",
                                .weight = 3,
                                .clients = {1, 2},
                                .receivers = {1, 3},
                                .machines = {1, 2},
                                .messages = {5, 60},
                                .faults = {1, 8},
                                .seconds = {5, 60},
                                .fault = {[STEP_FLIP] = 20, [STEP_KILL] = 3, [STEP_POWER_OFF] = 3},
                },
                {
                                .name = "backup",
                                .text = "state directories that are restored or cloned",
                                .weight = 3,
                                .clients = {1, 2},
                                .receivers = {1, 3},
                                .machines = {1, 3},
                                .messages = {5, 60},
                                .faults = {1, 8},
                                .seconds = {10, 120},
                                .fault = {[STEP_RESTORE] = 10,
                                                [STEP_CLONE] = 10,
                                                [STEP_KILL] = 3,
                                                [STEP_TERMINATE] = 2,
                                                [STEP_PARTITION] = 2},
                },
                /* For faults that are known; they stand in known.txt until they are mended. */
                {
                                .name = "urgent",
                                .text = "a backlog, with urgent messages behind it; nothing is broken",
                                .clients = {1, 1},
                                .receivers = {1, 2},
                                .machines = {1, 1},
                                .messages = {100, 400},
                                .seconds = {5, 20},
                                .mode = {[SELECTOR_TO] = 1, [SELECTOR_ANY] = 3},
                                .feature = {[FEATURE_BULK] = 50,
                                                [FEATURE_PRIORITY] = 99,
                                                [FEATURE_LONG] = 5},
                                .bare = true,
                },
                {
                                .name = "poison",
                                .text = "messages whose handlers kill their receiver",
                                .clients = {1, 1},
                                .receivers = {1, 2},
                                .machines = {1, 1},
                                .messages = {1, 20},
                                .faults = {1, 1},
                                .seconds = {2, 20},
                                .fault = {[STEP_RESET] = 1},
                                .feature = {[FEATURE_POISON] = 60, [FEATURE_ATTEMPTS] = 99},
                                .bare = true,
                },
                {
                                .name = "still",
                                .text = "a receiver is frozen, another one is not",
                                .clients = {1, 1},
                                .receivers = {2, 2},
                                .machines = {1, 2},
                                .messages = {5, 40},
                                .faults = {1, 1},
                                .seconds = {5, 20},
                                .fault = {[STEP_FREEZE] = 1},
                                .mode = {[SELECTOR_ANY] = 1},
                                .bare = true,
                },
                {},
};

const Profile *profile_find(const char *name)
{
        for (const Profile *f = profiles_table; f->name; f++)
                if (strcmp(f->name, name) == 0)
                        return f;
        return NULL;
}

const Profile *profile_draw(uint64_t seed)
{
        Draw d = draw_begin(seed, "profile", 0), first = draw_begin(seed, "profile", 1);
        unsigned weights[ELEMENTSOF(profiles_table)], percent = (unsigned) draw_below(&first, 100);

        for (const Profile *f = profiles_table; f->name; f++) {
                if (percent < f->percent)
                        return f;
                percent -= f->percent;
        }

        for (size_t i = 0; i < ELEMENTSOF(profiles_table); i++)
                weights[i] = profiles_table[i].weight;
        return profiles_table + draw_weighted(&d, weights, ELEMENTSOF(profiles_table));
}

unsigned profile_mood_weight(const Profile *f, HandlerMood mood)
{
        static const unsigned char none[_HANDLER_MOOD_MAX];

        return memcmp(f->mood, none, sizeof none) == 0 ? usual_moods[mood] : f->mood[mood];
}

unsigned profile_mode_weight(const Profile *f, SelectorMode mode)
{
        static const unsigned char none[_SELECTOR_MODE_MAX];

        return memcmp(f->mode, none, sizeof none) == 0 ? usual_modes[mode] : f->mode[mode];
}

unsigned profile_feature(const Profile *f, Feature feature)
{
        if (feature == FEATURE_POISON && f->faults.max == 0)
                return 0;
        return f->feature[feature] > 0 || f->bare ? f->feature[feature] : usual_features[feature];
}
