/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A library to preload: the wall clock of one daemon. The file $WALL_CLOCK_FILE has the seconds (int64, in
 * memory order) that it is ahead; whoever writes them there makes a step. All other clocks, and so the
 * timers, are those of the machine. */

#undef _FILE_OFFSET_BITS

#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *ahead;
static int (*real_clock)(clockid_t clock, struct timespec *ts);

__attribute__((constructor)) static void begin(void)
{
        const char *path = getenv("WALL_CLOCK_FILE");
        const int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

        *(void **) &real_clock = dlsym(RTLD_NEXT, "clock_gettime");
        if (fd < 0)
                return;
        void *map = mmap(NULL, sizeof *ahead, PROT_READ, MAP_SHARED, fd, 0);
        if (map != MAP_FAILED)
                ahead = map;
        (void) close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *ts)
{
        const int r = real_clock(clock, ts);

        if (r == 0 && ahead && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
                ts->tv_sec += *ahead;
        return r;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
        struct timespec ts;
        const int r = clock_gettime(CLOCK_REALTIME, &ts);

        (void) zone;
        if (r == 0)
                *tv = (struct timeval){.tv_sec = ts.tv_sec, .tv_usec = ts.tv_nsec / 1000};
        return r;
}

time_t time(time_t *ret)
{
        struct timespec ts = {.tv_sec = -1};

        (void) clock_gettime(CLOCK_REALTIME, &ts);
        if (ret)
                *ret = ts.tv_sec;
        return ts.tv_sec;
}
