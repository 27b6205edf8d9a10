/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/warden-process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd-util.h"
#include "runtime/control-group.h"
#include "runtime/privileges.h"
#include "runtime/spawn.h"
#include "runtime/ward-program.h"

/* Everything that the warden has beside the descriptors that it is given. */
enum {
        REQUESTS_FD = 4,
        ENDS_FD,
        N_OWN_FDS,
};

typedef enum WardState {
        WARD_NONE,
        WARD_RUNNING,
        WARD_ENDING, /* killed, or its leader has ended */
        WARD_OVER,   /* all processes are dead, but the receiver does not know it yet */
} WardState;

typedef struct OneWard {
        WardState state;
        pid_t leader; /* 0: it has ended */
        int status;
        int group_fd, watch_fd; /* of its control group; -1: none */
        unsigned group_number;
        bool is_group_killed;
        uint64_t begun_after, ended_after; /* the last round (of looking for orphans) before that */
} OneWard;

/* A child that is no leader. */
typedef struct Orphan {
        pid_t pid;
        uint64_t round; /* in which it was seen first */
} Orphan;

typedef struct Process {
        OneWard wards[WARDS_MAX];
        size_t n_wards;       /* numbers that were used so far */
        volatile int *errors; /* by number; shared with leaders that have not begun their program */
        Offspring children;
        size_t n_leaders; /* that live */
        Orphan *orphans;  /* in the order in which they came */
        size_t n_orphans, orphans_allocated;
        uint64_t round;     /* of looking for orphans */
        unsigned n_fertile; /* rounds with new orphans, since there were none */
        int own_group_fd;   /* -1: no control groups */
        bool can_clone;     /* into them */
        bool can_share;     /* memory with a process that begins in one of them */
        bool can_share_outside;
        unsigned n_groups;
        int signals_fd;
        bool is_orphaned; /* the receiver is gone */
        WardenInbox inbox;
} Process;

/* The control group of a ward. It is kept for the next ward with this number, unless it was killed: Linux
 * 6.14 also kills what begins in such a group later. */

static int open_group(Process *p, OneWard *w)
{
        char name[CONTROL_GROUP_NAME_MAX];

        if (p->own_group_fd < 0 || w->group_fd >= 0)
                return 0;
        w->group_number = p->n_groups++;
        w->is_group_killed = false;
        w->group_fd = control_group_make(p->own_group_fd, control_group_name(w->group_number, name));
        if (w->group_fd < 0)
                return w->group_fd;
        w->watch_fd = control_group_watch(w->group_fd);
        if (w->watch_fd >= 0)
                return 0;
        (void) close_clear(&w->group_fd);
        return w->watch_fd;
}

static void close_group(Process *p, OneWard *w)
{
        char name[CONTROL_GROUP_NAME_MAX];

        if (w->group_fd < 0)
                return;
        (void) close_clear(&w->group_fd);
        (void) close_clear(&w->watch_fd);
        control_group_remove(p->own_group_fd, control_group_name(w->group_number, name));
}

static void kill_group(OneWard *w)
{
        if (w->group_fd < 0 || !control_group_is_populated(w->watch_fd))
                return;
        w->is_group_killed = true;
        control_group_kill(w->group_fd);
}

/* Ends. */

/* The leader has not been waited for, so its number is still its own. */
static void kill_ward(OneWard *w)
{
        if (w->state != WARD_RUNNING && w->state != WARD_ENDING)
                return;
        w->state = WARD_ENDING;
        if (w->leader > 0)
                (void) kill(w->leader, SIGKILL);
        kill_group(w);
}

static bool is_leader(const Process *p, pid_t pid)
{
        for (size_t i = 0; i < p->n_wards; i++)
                if (p->wards[i].leader == pid)
                        return true;
        return false;
}

/* The kernel appends new children to its list, so those that are known come first. False: out of memory. */
static bool note_orphans(Process *p)
{
        const size_t n_known = p->n_orphans;

        if (p->orphans_allocated < p->children.n) {
                Orphan *grown = reallocarray(p->orphans, p->children.n, sizeof *grown);

                if (!grown)
                        return false;
                p->orphans = grown;
                p->orphans_allocated = p->children.n;
        }
        p->n_orphans = 0;
        p->round++;
        for (size_t i = 0, known = 0; i < p->children.n && p->children.n > p->n_leaders; i++) {
                Orphan o = {.pid = p->children.pids[i], .round = p->round};

                if (is_leader(p, o.pid))
                        continue;
                while (known < n_known && p->orphans[known].pid != o.pid)
                        known++;
                if (known < n_known)
                        o.round = p->orphans[known++].round;
                p->orphans[p->n_orphans++] = o;
        }
        return true;
}

static void stop_orphans(const Process *p)
{
        _cleanup_free_ pid_t *pids = calloc(p->n_orphans, sizeof *pids);

        for (size_t i = 0; pids && i < p->n_orphans; i++)
                pids[i] = p->orphans[i].pid;
        if (pids)
                offspring_stop_all(pids, p->n_orphans);
}

/* When they end, their children come here. False: this has to be tried again. */
static bool kill_orphans(Process *p)
{
        if (offspring_read(&p->children) < 0 || !note_orphans(p))
                return false;
        const bool is_fertile = p->n_orphans > 0 && p->orphans[p->n_orphans - 1].round == p->round;
        p->n_fertile = p->n_orphans > 0 ? p->n_fertile + is_fertile : 0;
        if (p->n_fertile > OFFSPRING_PATIENCE)
                stop_orphans(p);
        for (size_t i = 0; i < p->n_orphans; i++)
                (void) kill(p->orphans[i].pid, SIGKILL);
        return true;
}

static void on_leader_end(Process *p, OneWard *w, int status)
{
        w->leader = 0;
        w->status = status;
        w->ended_after = p->round;
        p->n_leaders--;
        kill_ward(w);
}

/* False: there is no child any more. */
static bool reap(Process *p)
{
        int status;
        pid_t pid;

        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
                for (size_t i = 0; i < p->n_wards; i++)
                        if (p->wards[i].leader == pid) {
                                on_leader_end(p, p->wards + i, status);
                                break;
                        }
        return pid == 0 || errno != ECHILD;
}

/* An orphan may be of any ward whose leader has ended, unless it came before that ward, or while the leader
 * was there. So one that hangs in the kernel, or that may not be killed, does not hold up the others. */
static bool is_dead(const Process *p, const OneWard *w)
{
        const uint64_t newest = p->n_orphans > 0 ? p->orphans[p->n_orphans - 1].round : 0;

        return w->leader == 0 && (w->watch_fd < 0 || !control_group_is_populated(w->watch_fd)) &&
               (newest <= w->begun_after || newest < w->ended_after);
}

static void settle(Process *p)
{
        size_t n_ending = 0;

        for (size_t i = 0; i < p->n_wards; i++)
                n_ending += p->wards[i].state == WARD_ENDING && p->wards[i].leader == 0;
        if (n_ending == 0 || !kill_orphans(p))
                return;
        for (size_t i = 0; i < p->n_wards; i++)
                if (p->wards[i].state == WARD_ENDING && is_dead(p, p->wards + i)) {
                        p->wards[i].state = WARD_OVER;
                        if (p->wards[i].is_group_killed || control_group_is_divided(p->wards[i].group_fd))
                                close_group(p, p->wards + i);
                }
}

/* Returns true when some could not be told: the receiver has to read others first, or there is no memory. */
static bool tell_ends(Process *p)
{
        for (uint32_t i = 0; i < p->n_wards; i++) {
                OneWard *w = p->wards + i;
                const WardenEnd end = {.ward = i, .end = {.status = w->status, .error = p->errors[i]}};

                if (w->state != WARD_OVER)
                        continue;
                if (send(ENDS_FD, &end, sizeof end, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EPIPE)
                        return true;
                w->state = WARD_NONE;
        }
        return false;
}

/* Requests. */

typedef struct Leader {
        const WardSpec *spec;
        volatile int *error;
} Leader;

static void run_program(void *userdata)
{
        const Leader *leader = userdata;

        ward_program(leader->spec, leader->error);
}

/* The warden stands still until the program begins: what may take long must not hold it up. */
static bool may_share(const Process *p, const OneWard *w, const Leader *leader)
{
        if (!leader->spec->is_local)
                return false;
        return w->group_fd < 0 ? p->can_share_outside
                               : p->can_share && !control_group_is_frozen(w->watch_fd);
}

static pid_t fork_once(const Process *p, const OneWard *w, Leader *leader)
{
        if (may_share(p, w, leader))
                return spawn_sharing(w->group_fd, run_program, leader);
        const pid_t pid = w->group_fd >= 0 ? control_group_fork(w->group_fd, p->can_clone) : fork();
        if (pid == 0)
                run_program(leader);
        return pid;
}

/* Somebody may have removed the group, for instance. Then the ward runs without. */
static pid_t fork_leader(Process *p, OneWard *w, Leader *leader)
{
        const pid_t pid = fork_once(p, w, leader);

        if (pid >= 0 || w->group_fd < 0 || errno == EAGAIN || errno == ENOMEM)
                return pid;
        close_group(p, w);
        return fork_once(p, w, leader);
}

static int start_leader(Process *p, OneWard *w, const WardSpec *spec)
{
        Leader leader = {spec, p->errors + (w - p->wards)};
        int r = open_group(p, w);

        if (r < 0)
                return r;
        *leader.error = 0;
        const pid_t pid = fork_leader(p, w, &leader);
        if (pid < 0)
                return -errno;
        w->state = WARD_RUNNING;
        w->leader = pid;
        w->begun_after = p->round;
        p->n_leaders++;
        return 0;
}

static int run_ward(Process *p, uint32_t number, const WardSpec *spec)
{
        for (; p->n_wards <= number; p->n_wards++)
                p->wards[p->n_wards] = (OneWard){.group_fd = -1, .watch_fd = -1};
        return start_leader(p, p->wards + number, spec);
}

static bool answer(int r)
{
        return send(REQUESTS_FD, &r, sizeof r, MSG_NOSIGNAL) == sizeof r;
}

/* Returns false when the receiver is gone. */
static bool take_request(Process *p)
{
        WardenInbox *in = &p->inbox;
        int r = warden_request_read(REQUESTS_FD, in);

        if (r >= 0 && in->request.verb == WARDEN_RUN)
                r = run_ward(p, in->request.ward, &in->spec);
        else if (r >= 0 && in->request.ward < p->n_wards)
                kill_ward(p->wards + in->request.ward);
        for (size_t i = 0; i < WARD_FDS; i++)
                (void) close_clear(in->spec.fds + i);
        return r != -EPIPE && (in->request.verb != WARDEN_RUN || answer(r));
}

/* The process. */

static void kill_all(Process *p)
{
        p->is_orphaned = true;
        for (size_t i = 0; i < p->n_wards; i++)
                kill_ward(p->wards + i);
}

/* One turn of the loop. */
static void wait_for_events(Process *p, bool is_blocked)
{
        struct pollfd polled[3 + WARDS_MAX] = {
                        {.fd = p->signals_fd, .events = POLLIN},
                        {.fd = p->is_orphaned ? -1 : REQUESTS_FD, .events = POLLIN},
                        {.fd = is_blocked ? ENDS_FD : -1, .events = POLLOUT},
        };
        struct signalfd_siginfo infos[16];
        nfds_t n = 3;

        for (size_t i = 0; i < p->n_wards; i++)
                if (p->wards[i].state == WARD_ENDING && p->wards[i].watch_fd >= 0)
                        polled[n++] = (struct pollfd){.fd = p->wards[i].watch_fd, .events = POLLPRI};
        if (poll(polled, n, -1) < 0)
                return;
        if (polled[0].revents)
                (void) !read(p->signals_fd, infos, sizeof infos);
        for (nfds_t i = 3; i < n; i++)
                if (polled[i].revents) /* reading it ends the event */
                        (void) control_group_is_populated(polled[i].fd);
        if (polled[1].revents && !take_request(p))
                kill_all(p);
}

static _Noreturn void watch(Process *p)
{
        bool is_blocked = false;

        for (;;) {
                wait_for_events(p, is_blocked);
                bool has_children = reap(p);
                settle(p);
                if (p->is_orphaned) {
                        (void) kill_orphans(p);
                        if (!has_children && !reap(p))
                                break;
                } else
                        is_blocked = tell_ends(p);
        }
        for (size_t i = 0; i < p->n_wards; i++)
                close_group(p, p->wards + i);
        _exit(EXIT_SUCCESS);
}

static int move(int fd, int number)
{
        return dup3(fd, number, O_CLOEXEC);
}

/* Nothing else stays open, above all no listening socket. Standard error is for the handlers. */
static int keep_only(const WardenFds *fds)
{
        const int null = open("/dev/null", O_RDWR | O_CLOEXEC),
                  requests = fcntl(fds->requests, F_DUPFD, N_OWN_FDS),
                  ends = fcntl(fds->ends, F_DUPFD, N_OWN_FDS), lock = fcntl(fds->lock, F_DUPFD, N_OWN_FDS);

        if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
                        move(lock, STDERR_FILENO + 1) < 0 || move(requests, REQUESTS_FD) < 0 ||
                        move(ends, ENDS_FD) < 0)
                return -1;
        return close_range(N_OWN_FDS, ~0u, 0);
}

/* systemd and terminals send signals to every process of a unit or group. Only the end of the receiver may
 * end the warden. */
static int prepare_signals(void)
{
        static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2};
        sigset_t set;

        for (size_t i = 0; i < ELEMENTSOF(ignored); i++)
                (void) signal(ignored[i], SIG_IGN);
        (void) signal(SIGCHLD, SIG_DFL); /* else the kernel would not keep the dead */
        (void) sigemptyset(&set);
        (void) sigaddset(&set, SIGCHLD);
        (void) sigprocmask(SIG_SETMASK, &set, NULL);
        return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Handlers must not use the sockets of the daemons as the receiver may. */
static void leave_group(void)
{
        if (privileges_may_leave_groups() &&
                        (privileges_leave_group(WARDEN_LEFT_GROUP) < 0 || privileges_drop() < 0))
                _exit(EXIT_FAILURE);
}

void warden_process(const WardenFds *fds)
{
        Process *p = calloc(1, sizeof *p);

        (void) prctl(PR_SET_NAME, "ackgroup-warden");
        if (!p || keep_only(fds) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
                _exit(EXIT_FAILURE);
        leave_group();
        p->errors = mmap(NULL, WARDS_MAX * sizeof *p->errors, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        p->signals_fd = prepare_signals();
        p->own_group_fd = control_group_open_own();
        p->can_clone = p->own_group_fd >= 0 && control_group_try(p->own_group_fd, control_group_can_clone);
        p->can_share = p->can_clone && control_group_try(p->own_group_fd, spawn_can_share);
        p->can_share_outside = spawn_can_share(-1);
        if (p->errors == MAP_FAILED || p->signals_fd < 0 || offspring_open(&p->children) < 0)
                _exit(EXIT_FAILURE);
        watch(p);
}
