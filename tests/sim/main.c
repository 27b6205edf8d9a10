/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* ackgroup-sim: runs of the simulator. */

#include <stdio.h>
#include <string.h>

#include "sim/campaign.h"
#include "sim/plan-profile.h"

static const Rule own_rules[] = {
                {RULE_CRASH, "The programs do not crash, and no assertion fails."},
                {RULE_HANG, "The programs do not compute without an end."},
                {RULE_REPEATS, "The same plan gives the same run."},
};

const char *rule_promise(const char *rule)
{
        size_t n;
        const Rule *rules = judge_rules(&n);

        for (size_t i = 0; i < n; i++)
                if (strcmp(rules[i].name, rule) == 0)
                        return rules[i].promise;
        for (size_t i = 0; i < ELEMENTSOF(own_rules); i++)
                if (strcmp(own_rules[i].name, rule) == 0)
                        return own_rules[i].promise;
        return NULL;
}

bool rules_contain(const char *rules, const char *rule)
{
        const size_t n = strlen(rule);

        for (const char *at = rules; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
                if (strcspn(at, ",") == n && memcmp(at, rule, n) == 0)
                        return true;
        return false;
}

static void print_rules(void)
{
        size_t n;
        const Rule *rules = judge_rules(&n);

        for (size_t i = 0; i < n; i++)
                printf("%-28s %s\n", rules[i].name, rules[i].promise);
        for (size_t i = 0; i < ELEMENTSOF(own_rules); i++)
                printf("%-28s %s\n", own_rules[i].name, own_rules[i].promise);
}

static void print_profiles(void)
{
        for (const Profile *f = profiles_table; f->name; f++)
                printf("%-10s %s\n", f->name, f->text);
}

static void disable_all(SimOptions *o)
{
        size_t n;
        const Rule *rules = judge_rules(&n);

        for (size_t i = 0; i < n; i++)
                sim_options_disable(o, rules[i].name);
}

/* A misspelt rule would be checked all the same. */
static int check_disabled(SimOptions *o)
{
        char name[RULE_MAX];

        if (rules_contain(o->disabled, "all"))
                disable_all(o);
        for (const char *at = o->disabled; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
                (void) snprintf(name, sizeof name, "%.*s", (int) strcspn(at, ","), at);
                if (strcmp(name, "all") != 0 && !rule_promise(name)) {
                        fprintf(stderr, "ackgroup-sim: there is no rule \"%s\"; --rules lists them\n", name);
                        return 2;
                }
        }
        return 0;
}

static int act(SimOptions *o)
{
        int r = 0;

        if (o->help || o->rules || o->profiles) {
                o->help ? sim_help() : o->rules ? print_rules() : print_profiles();
                return 0;
        }
        if (o->check_known)
                r = campaign_check_list(o, o->check_known, true);
        if (o->except && campaign_except(o, o->except) < 0)
                return 3;
        r = r ?: check_disabled(o);
        if (r == 0 && o->check_fixed)
                r = campaign_check_list(o, o->check_fixed, false);
        if (r == 0 && o->one)
                r = replay_show(o);
        if (r == 0 && o->many)
                r = campaign_run(o);
        return r;
}

int main(int argc, char **argv)
{
        SimOptions o;
        int r = sim_options_parse(&o, argc, argv);

        (void) setvbuf(stdout, NULL, _IOFBF, 1 << 16);
        if (r == 0)
                r = act(&o);
        (void) fflush(stdout);
        sim_options_clear(&o);
        return r;
}
