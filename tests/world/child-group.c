/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world/child-group.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define DEATH_USEC 50u
#define BUCKETS    256u /* numbers of groups follow each other, so they are spread evenly */

static struct {
        ChildGroup *alive;
        ChildGroup *shown; /* dead, in a world without processes */
        ChildGroup *buckets[BUCKETS];
        pid_t next;
        unsigned n_alive;
        ChildBegan began;
        ChildDied died;
        void *userdata;
        uint64_t start_min, start_max;
} groups;

void group_world_begin(void)
{
        memset(&groups, 0, sizeof groups);
        groups.next = 100000;
}

static void free_all(ChildGroup *first)
{
        for (ChildGroup *next; first; first = next) {
                next = first->next;
                event_unset(&first->call);
                event_unset(&first->death);
                free(first);
        }
}

void group_world_end(void)
{
        free_all(groups.alive);
        free_all(groups.shown);
        groups.alive = groups.shown = NULL;
}

void child_set_script(ChildBegan began, ChildDied died, void *userdata)
{
        groups.began = began;
        groups.died = died;
        groups.userdata = userdata;
}

void child_set_start_delay(uint64_t min_usec, uint64_t max_usec)
{
        groups.start_min = min_usec;
        groups.start_max = max_usec;
}

unsigned child_n_alive(void)
{
        return groups.n_alive;
}

/* Making one: a single block of memory for everything. */

static size_t words_size(char *const *words)
{
        size_t n = sizeof(char *);

        for (; *words; words++)
                n += sizeof(char *) + strlen(*words) + 1;
        return n;
}

/* Copies the words to *to, their pointers first, and moves *to behind them. */
static char **words_copy(char **to, char *const *words)
{
        char **copy = (void *) *to;
        size_t n = 0;

        while (words[n])
                n++;
        char *text = (char *) (copy + n + 1);
        for (size_t i = 0; i < n; i++) {
                copy[i] = text;
                text = stpcpy(text, words[i]) + 1;
        }
        copy[n] = NULL;
        *to = text;
        return copy;
}

/* Pointers need an aligned place. */
static char *aligned(char *p)
{
        return p + (-(uintptr_t) p & (sizeof(char *) - 1));
}

static void on_call(void *userdata)
{
        ChildGroup *g = userdata;

        g->fn(&g->seen);
}

static void on_death(void *userdata)
{
        group_kill(userdata);
}

ChildGroup *group_new(const ChildSpec *spec, Child *child)
{
        const size_t path = strlen(spec->path) + 1;
        ChildGroup *g = malloc(sizeof *g + words_size(spec->arguments) + words_size(spec->environment) +
                               sizeof(char *) + path + spec->input_size + 1);

        assert(g);
        *g = (ChildGroup){.receiver = process_current(), .child = child, .left = USEC_INFINITY};
        g->life = g->receiver ? process_starts(g->receiver) : 0;
        g->call = (WorldCall){.fn = on_call, .userdata = g};
        heap_item_init(&g->call.item);
        g->death = (WorldCall){.fn = on_death, .userdata = g};
        heap_item_init(&g->death.item);
        char *at = (char *) (g + 1);
        g->seen.arguments = words_copy(&at, spec->arguments);
        at = aligned(at);
        g->seen.environment = words_copy(&at, spec->environment);
        g->seen.path = memcpy(at, spec->path, path);
        g->seen.input = at + path;
        if (spec->input_size > 0)
                memcpy(g->seen.input, spec->input, spec->input_size);
        g->seen.input[spec->input_size] = '\0';
        g->seen.input_size = spec->input_size;
        g->seen.group = groups.next++;
        g->seen.is_running = true;
        g->begins_at = world_now();
        if (g->receiver && groups.start_max > 0)
                g->begins_at += world_random_between(groups.start_min, groups.start_max);
        DL_APPEND(groups.alive, g);
        groups.n_alive++;
        DL_APPEND2(groups.buckets[(unsigned) g->seen.group % BUCKETS], g, prev_same, next_same);
        return g;
}

ChildGroup *group_of(const TestChild *c)
{
        return CONTAINER_OF(c, ChildGroup, seen);
}

ChildGroup *group_first(void)
{
        return groups.alive;
}

/* Its time. */

void child_call_in(TestChild *c, uint64_t usec, void (*fn)(TestChild *c))
{
        ChildGroup *g = group_of(c);

        assert(!g->is_dead);
        g->fn = fn;
        g->left = usec;
        g->due = usec_add(world_now(), usec);
        if (!g->is_suspended)
                event_set(&g->call, g->due);
}

static void suspend_group(ChildGroup *g, bool suspend)
{
        g->is_suspended = suspend;
        if (!suspend) {
                if (g->left != USEC_INFINITY)
                        child_call_in(&g->seen, g->left, g->fn);
                return;
        }
        g->left = USEC_INFINITY;
        if (event_is_set(&g->call))
                g->left = g->due > world_now() ? g->due - world_now() : 0;
        event_unset(&g->call);
}

void child_suspend(Machine *m, bool suspend)
{
        ChildGroup *g;

        DL_FOREACH(groups.alive, g)
                if (process_machine(g->receiver) == m)
                        suspend_group(g, suspend);
        warden_suspend(m, suspend);
}

static void begin(TestChild *c)
{
        ChildGroup *g = group_of(c);

        g->has_begun = true;
        if (groups.began)
                groups.began(c, g->receiver, groups.userdata);
}

void group_give_input(ChildGroup *g)
{
        const uint64_t now = world_now();

        g->has_input = true;
        if (!g->is_leader_over && groups.began)
                child_call_in(&g->seen, g->begins_at > now ? g->begins_at - now : 0, begin);
}

/* Its end. */

static void die(ChildGroup *g)
{
        assert(!g->is_dead);
        g->is_dead = true;
        event_unset(&g->call);
        event_unset(&g->death);
        DL_DELETE(groups.alive, g);
        groups.n_alive--;
        DL_DELETE2(groups.buckets[(unsigned) g->seen.group % BUCKETS], g, prev_same, next_same);
        if ((g->has_begun || g->child) && groups.died)
                groups.died(&g->seen, g->receiver, g->is_leader_killed, groups.userdata);
        if (!g->receiver)
                DL_APPEND(groups.shown, g);
        else if (!g->child)
                free(g);
}

void group_end_leader(ChildGroup *g, bool killed)
{
        assert(!g->is_leader_over);
        g->is_leader_over = true;
        g->is_leader_killed = killed;
        g->seen.is_running = false;
        if (!g->has_descendant)
                die(g);
}

void group_kill(ChildGroup *g)
{
        if (g->is_dead)
                return;
        g->has_descendant = false;
        if (g->is_leader_over)
                die(g);
        else {
                if (g->child)
                        child_see_kill(g->child);
                group_end_leader(g, true);
        }
}

void group_kill_soon(ChildGroup *g)
{
        if (!g->receiver)
                group_kill(g);
        else if (!g->is_dead && !event_is_set(&g->death))
                event_set(&g->death, world_now() + world_random(DEATH_USEC));
}

void group_kill_number(pid_t number)
{
        ChildGroup *g;

        DL_FOREACH2(groups.buckets[(unsigned) number % BUCKETS], g, next_same)
        if (g->seen.group == number) {
                group_kill(g);
                return;
        }
}

void group_leave(ChildGroup *g)
{
        g->child = NULL;
        if (g->is_dead && g->receiver)
                free(g);
        else if (!g->is_dead && !g->has_input)
                group_kill(g); /* it sees that its input is cut off, and does nothing */
}

void child_lose_power(Machine *m)
{
        ChildGroup *g, *next;

        DL_FOREACH_SAFE(groups.alive, g, next)
                if (process_machine(g->receiver) == m)
                        group_kill(g);
        warden_lose_power(m);
}

/* What a handler does. */

void child_set_userdata(TestChild *c, void *userdata)
{
        group_of(c)->userdata = userdata;
}

void *child_userdata(const TestChild *c)
{
        return group_of(c)->userdata;
}

void child_fork(TestChild *c)
{
        ChildGroup *g = group_of(c);

        assert(c->is_running);
        g->has_descendant = true;
}

unsigned child_life(const TestChild *c)
{
        return group_of(c)->life;
}

bool child_has_begun(const TestChild *c)
{
        return group_of(c)->has_begun;
}

bool child_has_receiver(const TestChild *c)
{
        return group_of(c)->child;
}
