/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/actor.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "base/log.h"
#include "base/str-util.h"
#include "base/time-util.h"
#include "sim/caller.h"
#include "world/inside.h"

#define DISCOVERY_PORT 7480u
#define RECEIVER_PORT  7500u

/* As in the units. */
#define RESTART_USEC      USEC_PER_SEC
#define STOP_TIMEOUT_USEC (60 * USEC_PER_SEC)
/* The first starts, and the starts after a loss of power. */
#define BOOT_USEC (2 * USEC_PER_SEC)

Sim sim;

static Actor *actor_of_process(const Process *p)
{
        return p && process_index(p) < sim.n_actors ? sim.actors[process_index(p)] : NULL;
}

Actor *actor_of_client(unsigned number)
{
        return number < sim.plan->n_clients ? sim.actors[plan_process_of_client(sim.plan, number)] : NULL;
}

static char *text(const char *format, ...) _printf_(1, 2);
static char *text(const char *format, ...)
{
        char buffer[128];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(buffer, sizeof buffer, format, ap);
        va_end(ap);
        return world_strdup(buffer);
}

static Actor *actor_new(Role role, unsigned number, Machine *m, const char *name)
{
        static int (*const mains[])(void *userdata) = {
                        [ROLE_DISCOVERY] = discovery_main,
                        [ROLE_CLIENT] = client_main,
                        [ROLE_RECEIVER] = receiver_main,
        };
        Actor *a = world_alloc(sizeof *a);
        const unsigned port = role == ROLE_DISCOVERY ? DISCOVERY_PORT : RECEIVER_PORT + sim.n_actors;

        *a = (Actor){
                        .process = process_new(m, name),
                        .role = role,
                        .number = number,
                        .machine = m,
                        .directory = text("/%s/%s", machine_name(m), name),
                        .socket = text("unix:/%s/%s.sock", machine_name(m), name),
                        .tcp = text("tcp:%s:%u", machine_ip(m), port),
                        .url = text("http://%s:%u", machine_ip(m), port),
                        .main = mains[role],
                        .stop_usec = USEC_INFINITY,
        };
        assert(process_index(a->process) == sim.n_actors && sim.n_actors < ACTORS_MAX);
        sim.actors[sim.n_actors++] = a;
        if (role == ROLE_CLIENT)
                a->callers = callers_new(a);
        return a;
}

Actor *actor_copy(Actor *a)
{
        char name[32];
        Actor *copy;

        if (sim.n_actors == ACTORS_MAX)
                return NULL;
        (void) snprintf(name, sizeof name, "%s-copy%u", process_name(a->process), sim.n_actors);
        copy = actor_new(a->role, a->number, a->machine, name);
        copy->original = a;
        copy->reloads = a->reloads;
        copy->held = 1;
        disk_copy(a->directory, copy->directory);
        return copy;
}

/* The supervisor. */

/* systemd holds the sockets of this receiver, but not while it is stopped. */
static void hold_sockets(const Actor *a, bool hold)
{
        if (a->role != ROLE_RECEIVER || a->original || !sim.plan->activated[a->number])
                return;
        net_keep_listening(a->socket, hold);
        net_keep_listening(a->tcp, hold);
}

static void on_start(void *userdata)
{
        Actor *a = userdata;

        a->start = NULL;
        if (sim.over || a->held > 0 || process_is_up(a->process) || !machine_is_on(a->machine))
                return;
        a->pause_usec = 0;
        hold_sockets(a, true);
        observe((Observation){.kind = OBS_START, .process = a->process});
        process_start(a->process, a->main, a);
}

static void start_in(Actor *a, uint64_t usec)
{
        world_cancel(a->start);
        a->start = NULL;
        world_call_at(world_now() + usec, on_start, a, &a->start);
}

void actor_start_soon(Actor *a)
{
        if (a->start)
                start_in(a, RESTART_USEC);
}

void actor_hold(Actor *a)
{
        a->held++;
        world_cancel(a->start);
        a->start = NULL;
}

void actor_release(Actor *a)
{
        assert(a->held > 0);
        a->held--;
        if (a->held == 0)
                on_start(a);
}

static void on_release(void *userdata)
{
        actor_release(userdata);
}

static void on_end(Process *p, bool killed, int status, void *userdata)
{
        Actor *a = actor_of_process(p);

        observe((Observation){
                        .kind = killed ? OBS_KILL : OBS_EXIT, .process = p, .number = (uint64_t) status});
        if (a->callers)
                callers_client_ended(a->callers);
        if (a->stop_usec != USEC_INFINITY) {
                world_call_at(world_now() + a->stop_usec, on_release, a, NULL);
                a->stop_usec = USEC_INFINITY;
        }
        if (!sim.over && a->held == 0 && machine_is_on(a->machine))
                start_in(a, MAX(a->pause_usec, RESTART_USEC));
}

typedef struct StopTimeout {
        Actor *actor;
        unsigned life;
} StopTimeout;

static void on_stop_timeout(void *userdata)
{
        const StopTimeout *t = userdata;
        Process *p = t->actor->process;

        if (process_is_up(p) && process_starts(p) == t->life)
                process_kill(p);
}

/* Half of them restart: then its sockets stay open, and its peers are told to come back at once. */
static void tell_to_stop(Actor *a, bool restart)
{
        world_restarting(restart);
        hold_sockets(a, restart);
        process_signal(a->process, SIGTERM);
}

void actor_terminate(Actor *a, uint64_t usec)
{
        StopTimeout *t;

        if (!process_is_up(a->process))
                return;
        if (a->stop_usec == USEC_INFINITY) {
                actor_hold(a);
                t = world_alloc(sizeof *t);
                *t = (StopTimeout){a, process_starts(a->process)};
                world_call_at(world_now() + STOP_TIMEOUT_USEC, on_stop_timeout, t, NULL);
        }
        a->stop_usec = usec;
        tell_to_stop(a, world_random(2) > 0);
}

void actors_power_on(Machine *m)
{
        for (unsigned i = 0; i < sim.n_actors; i++)
                if (sim.actors[i]->machine == m && sim.actors[i]->held == 0)
                        start_in(sim.actors[i], world_random(BOOT_USEC));
}

void actors_begin(const Plan *plan)
{
        char name[PROCESS_NAME_MAX];

        sim = (Sim){.plan = plan};
        for (unsigned i = 0; i < plan->n_machines; i++)
                sim.machines[i] = machine_new(text("m%u", i));
        (void) actor_new(ROLE_DISCOVERY, 0, sim.machines[plan->machine_of_discovery], "discovery");
        for (unsigned i = 0; i < plan->n_clients; i++)
                (void) actor_new(ROLE_CLIENT, i, sim.machines[plan->machine_of_client[i]],
                                plan_process_name(plan, plan_process_of_client(plan, i), name));
        for (unsigned i = 0; i < plan->n_receivers; i++)
                hold_sockets(actor_new(ROLE_RECEIVER, i, sim.machines[plan->machine_of_receiver[i]],
                                             plan_process_name(
                                                             plan, plan_process_of_receiver(plan, i), name)),
                                true);
        process_on_end(on_end, NULL);
        for (unsigned i = 0; i < sim.n_actors; i++)
                start_in(sim.actors[i], world_random(BOOT_USEC));
}

void actors_stop(void)
{
        sim.over = true;
        for (unsigned i = 0; i < sim.n_actors; i++)
                if (process_is_up(sim.actors[i]->process))
                        tell_to_stop(sim.actors[i], false);
}

bool actors_are_down(void *userdata)
{
        for (unsigned i = 0; i < sim.n_actors; i++)
                if (process_is_up(sim.actors[i]->process))
                        return false;
        return true;
}

/* For the mains. */

unsigned actor_vary(const Actor *a, unsigned what, unsigned n)
{
        uint64_t z = ((uint64_t) a->reloads << 8 | what) * UINT64_C(0x9E3779B97F4A7C15);

        if (a->reloads == 0)
                return n - 1;
        z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
        return (unsigned) ((z ^ (z >> 31)) % n);
}

char *actor_discovery(const Actor *a)
{
        const Actor *d = sim.actors[0];

        return strdup(d->machine == a->machine ? d->socket : d->url);
}

int actor_fail(const char *name, int r, const Error *error)
{
        log_error("%s: %s", name, error->text[0] ? error->text : strerror(-r));
        return EXIT_FAILURE;
}
