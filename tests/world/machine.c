/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world/inside.h"
#include "world/process-child.h"
#include "world/scheduler.h"

#define MACHINES_MAX_ 16u

struct Machine {
        char name[16], ip[24];
        unsigned index, n_boots, n_suspended;
        bool off;
        int64_t clock;
};

static Machine *machines[MACHINES_MAX_];
static unsigned n_machines;

void machine_world_end(void)
{
        while (n_machines > 0)
                free(machines[--n_machines]);
}

Machine *machine_new(const char *name)
{
        Machine *m = calloc(1, sizeof *m);

        assert(m && n_machines < MACHINES_MAX_ && strlen(name) < sizeof m->name);
        strcpy(m->name, name);
        m->index = n_machines;
        (void) snprintf(m->ip, sizeof m->ip, "10.0.0.%u", n_machines + 1);
        machines[n_machines++] = m;
        return m;
}

const char *machine_name(const Machine *m)
{
        return m->name;
}

const char *machine_ip(const Machine *m)
{
        return m->ip;
}

Machine *machine_of_path(const char *path)
{
        for (unsigned i = 0; path[0] == '/' && i < n_machines; i++) {
                const size_t n = strlen(machines[i]->name);

                if (strncmp(path + 1, machines[i]->name, n) == 0 && (path[n + 1] == '/' || !path[n + 1]))
                        return machines[i];
        }
        return NULL;
}

Machine *machine_of_ip(const char *ip)
{
        for (unsigned i = 0; i < n_machines; i++)
                if (strcmp(machines[i]->ip, ip) == 0)
                        return machines[i];
        return NULL;
}

sd_id128_t machine_boot_id(const Machine *m)
{
        sd_id128_t id = {};

        memset(id.bytes, 0xb0, sizeof id.bytes);
        id.bytes[0] = (uint8_t) m->index;
        id.bytes[1] = (uint8_t) m->n_boots;
        id.bytes[2] = (uint8_t) (m->n_boots >> 8);
        return id;
}

bool machine_is_on(const Machine *m)
{
        return !m->off;
}

bool machine_may_run(const Machine *m)
{
        return !m->off && m->n_suspended == 0;
}

static void each_process(Machine *m, void (*fn)(Process *p))
{
        Process *p;

        for (unsigned i = 0; (p = process_get(i)); i++)
                if (process_machine(p) == m)
                        fn(p);
}

void machine_power_off(Machine *m, FakeLoss loss)
{
        if (m->off)
                return;
        m->off = true;
        each_process(m, process_kill);
        child_lose_power(m);
        disk_lose_power(m, loss);
        net_machine_changed(m);
}

void machine_power_on(Machine *m)
{
        if (!m->off)
                return;
        m->off = false;
        m->n_boots++;
        net_machine_changed(m);
}

void machine_suspend(Machine *m, bool suspend)
{
        if (suspend) {
                if (m->n_suspended++ == 0)
                        child_suspend(m, true);
        } else if (m->n_suspended > 0 && --m->n_suspended == 0) {
                child_suspend(m, false);
                each_process(m, threads_continue);
        }
        net_machine_changed(m);
}

void machine_step_clock(Machine *m, int64_t usec)
{
        m->clock += usec;
}

int64_t machine_clock_offset(const Machine *m)
{
        return m ? m->clock : 0;
}
