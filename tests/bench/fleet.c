/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fleet.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS_MAX 24

static void run(Fleet *f, const char *log, char *const *words)
{
        char path[4096];
        pid_t pid;

        (void) snprintf(path, sizeof path, "%s/%s.log", f->options->directory, log);
        pid = fork();
        if (pid < 0)
                bench_die("fork");
        if (pid > 0) {
                f->pids[f->n++] = pid;
                return;
        }
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600),
            null = open("/dev/null", O_RDONLY);
        if (fd < 0 || dup2(null, 0) < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
                bench_die(path);
        (void) execvp(words[0], words);
        bench_die(words[0]);
}

/* `format` is one line of words, parted by blanks; paths with blanks are not for benchmarks. */
static void run_line(Fleet *f, const char *log, const char *format, ...)
                __attribute__((format(printf, 3, 4)));
static void run_line(Fleet *f, const char *log, const char *format, ...)
{
        char line[16384], *words[WORDS_MAX], *rest = line;
        unsigned n = 0;
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(line, sizeof line, format, ap);
        va_end(ap);
        while (n + 1 < WORDS_MAX && (words[n] = strsep(&rest, " ")))
                n += words[n][0] != '\0';
        words[n] = NULL;
        run(f, log, words);
}

static void wait_for_file(const char *format, const char *directory)
{
        char path[4096];

        (void) snprintf(path, sizeof path, "%s/%s", directory, format);
        for (unsigned i = 0; access(path, F_OK) < 0; i++) {
                if (i > 1000) {
                        errno = ETIMEDOUT;
                        bench_die(path);
                }
                (void) usleep(10000);
        }
}

static void open_bus(Fleet *f)
{
        char address[4096];

        (void) snprintf(address, sizeof address, "unix:path=%s/bus", f->options->directory);
        if (setenv("DBUS_SESSION_BUS_ADDRESS", address, 1) < 0 || sd_bus_open_user(&f->bus) < 0)
                bench_die(address);
}

static void wait_for_receivers(Fleet *f)
{
        for (unsigned i = 0; i < 1000; i++) {
                uint32_t n = 0;
                int r = sd_bus_get_property_trivial(f->bus, "org.ackgroup.Client1", "/org/ackgroup/Client1",
                                "org.ackgroup.Client1.Manager", "Receivers", NULL, 'u', &n);
                if (r >= 0 && n == f->options->receivers)
                        return;
                (void) usleep(20000);
        }
        errno = ETIMEDOUT;
        bench_die("receivers");
}

void fleet_start(Fleet *f, const BenchOptions *options)
{
        const char *d = options->directory;
        char self[3000];

        *f = (Fleet){.options = options};
        ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
        if (n < 0)
                bench_die("/proc/self/exe");
        self[n] = '\0';
        (void) snprintf(f->build, sizeof f->build, "%s/../..", dirname(self));
        (void) mkdir(d, 0700);

        run_line(f, "bus", "dbus-daemon --session --nofork --nopidfile --address=unix:path=%s/bus", d);
        run_line(f, "discovery",
                        "%s/src/discovery/ackgroup-discovery --config /dev/null --listen "
                        "unix:%s/discovery.sock"
                        " --state-dir %s/discovery",
                        f->build, d, d);
        wait_for_file("bus", d);
        wait_for_file("discovery.sock", d);
        open_bus(f);
        for (unsigned i = 0; i < options->receivers; i++)
                run_line(f, "receiver",
                                "%s/src/receiver/ackgroup-receiver --config /dev/null --log-level warning"
                                " --instance %u --discovery unix:%s/discovery.sock --listen unix:%s/%u.sock"
                                " --state-dir %s/receiver-%u --concurrency %u --queue 2048 %s",
                                f->build, i, d, d, i, d, i, strcmp(options->handler, "exec") == 0 ? 4u : 1u,
                                strcmp(options->handler, "exec") == 0 ? "-- /bin/true" : "");
        run_line(f, "client",
                        "%s/src/client/ackgroup-client --config /dev/null --log-level warning --user"
                        " --discovery unix:%s/discovery.sock --state-dir %s/client",
                        f->build, d, d);
        wait_for_receivers(f);
}

void fleet_end(Fleet *f)
{
        sd_bus_flush_close_unref(f->bus);
        /* The bus, which was started first, last. */
        for (unsigned i = f->n; i-- > 0;)
                if (kill(f->pids[i], SIGTERM) == 0)
                        (void) waitpid(f->pids[i], NULL, 0);
}

static double cpu_of(pid_t pid)
{
        unsigned long user = 0, system = 0;
        char path[64];

        (void) snprintf(path, sizeof path, "/proc/%d/stat", (int) pid);
        FILE *file = fopen(path, "re");
        if (!file || fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                                     &system) != 2)
                bench_die(path);
        (void) fclose(file);
        return (double) (user + system) / (double) sysconf(_SC_CLK_TCK);
}

FleetCpu fleet_cpu(const Fleet *f)
{
        FleetCpu cpu = {};
        cpu.bench = bench_cpu_seconds(RUSAGE_SELF);
        /* In the order in which they were started. */
        for (unsigned i = 0; i < f->n; i++)
                *(i == 0                        ? &cpu.bus
                                : i == 1        ? &cpu.discovery
                                : i + 1 == f->n ? &cpu.client
                                                : &cpu.receivers) += cpu_of(f->pids[i]);
        return cpu;
}

static uint64_t peak_kb(pid_t pid)
{
        char path[64], line[256];
        uint64_t kb = 0;

        (void) snprintf(path, sizeof path, "/proc/%d/status", (int) pid);
        FILE *file = fopen(path, "re");
        if (!file)
                bench_die(path);
        while (fgets(line, sizeof line, file))
                if (strncmp(line, "VmHWM:", 6) == 0)
                        kb = strtoull(line + 6, NULL, 10);
        (void) fclose(file);
        return kb;
}

uint64_t fleet_rss_kb(const Fleet *f, bool daemons_only)
{
        uint64_t sum = 0;

        /* 0 is the bus, 1 discovery. */
        for (unsigned i = daemons_only ? 2 : 0; i < f->n; i++)
                sum += peak_kb(f->pids[i]);
        return daemons_only ? sum : sum + peak_kb(getpid());
}
