/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/db.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/crash-point.h"
#include "base/str-util.h"
#include "base/time-util.h"
#include "store/db-state.h"

/* One transaction takes at most so many operations, so that a flood cannot put off the first one's sync for
 * ever. */
#define BATCH_MAX 4096u

/* So many are handed over without waiting for the end of the iteration: thread and loop then work at the
 * same time. */
#define KICK_AT 128u

#define LAZY_NSEC 20000000
#define LAZY_MAX  1024u /* under way: more are not left waiting, since they are memory */

typedef struct Queue {
        DbOp *first;
        DbOp **end;
} Queue;

struct Db {
        DbState state;
        int lock_fd;  /* held for as long as the database is open */
        int event_fd; /* readable while `finished` has operations */

        Queue staged; /* submitted since the last kick; the loop's own */
        bool urgent;  /* somebody waits for some of them */
        unsigned n_staged;

        pthread_t thread;
        bool started;
        size_t pending; /* the loop's own count */

        pthread_mutex_t mutex; /* guards what follows */
        pthread_cond_t wake;
        Queue submitted;
        bool submitted_urgent; /* somebody waits for some of them */
        Queue finished;
        bool stop;

        atomic_uint_fast64_t busy_since; /* CLOCK_BOOTTIME of the running batch, or 0 */
};

static void queue_init(Queue *q)
{
        q->first = NULL;
        q->end = &q->first;
}

static void queue_append(Queue *q, DbOp *op)
{
        op->next = NULL;
        *q->end = op;
        q->end = &op->next;
}

/* Returns with the mutex held: something is there that somebody waits for, or that has waited long enough.
 */
static void wait_for_work(Db *db)
{
        struct timespec until;

        while (!db->submitted.first && !db->stop)
                (void) pthread_cond_wait(&db->wake, &db->mutex);
        (void) clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += LAZY_NSEC;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        while (!db->submitted_urgent && !db->stop)
                if (pthread_cond_timedwait(&db->wake, &db->mutex, &until) == ETIMEDOUT)
                        break;
}

/* Takes at most BATCH_MAX operations off the queue, waiting for the first; NULL when it is empty and we
 * shall stop. */
static DbOp *take_batch(Db *db)
{
        DbOp *first = NULL;
        DbOp **end;
        unsigned n = 0;

        (void) pthread_mutex_lock(&db->mutex);
        wait_for_work(db);
        db->submitted_urgent = false;

        end = &db->submitted.first;
        while (*end && n++ < BATCH_MAX)
                end = &(*end)->next;
        if (n > 0) {
                first = db->submitted.first;
                db->submitted.first = *end;
                if (!*end)
                        db->submitted.end = &db->submitted.first;
                else
                        db->submitted_urgent = true; /* maybe; it has waited, too */
                *end = NULL;
        }
        (void) pthread_mutex_unlock(&db->mutex);
        return first;
}

static void hand_back(Db *db, DbOp *first, int r)
{
        uint64_t one = 1;

        (void) pthread_mutex_lock(&db->mutex);
        for (DbOp *op = first, *next; op; op = next) {
                next = op->next;
                if (r < 0)
                        op->result = r;
                queue_append(&db->finished, op);
        }
        (void) pthread_mutex_unlock(&db->mutex);
        (void) !write(db->event_fd, &one, sizeof one);
}

static void *writer_thread(void *userdata)
{
        Db *db = userdata;
        DbOp *first;

        while ((first = take_batch(db))) {
                atomic_store(&db->busy_since, now_usec(CLOCK_BOOTTIME));
                int r = db_state_run(&db->state, first);
                /* The log may hold the space that is missing. */
                if (r == -ENOSPC)
                        (void) sqlite3_wal_checkpoint_v2(
                                        db->state.sql, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
                hand_back(db, first, r);
                db_state_learn(&db->state);
                if (db_state_is_large(&db->state))
                        (void) db_state_flush(&db->state); /* else the next batch tries */
                atomic_store(&db->busy_since, 0);
        }
        (void) db_state_flush(&db->state); /* else the next start does it */
        return NULL;
}

/* The lock is ours, not SQLite's: it says "this state is in use" to a second daemon before that one reads a
 * word. */
static int take_lock(const char *path, uint64_t lock_usec, int *ret_fd, Error *error)
{
        _cleanup_free_ char *lock_path = str_format("%s.lock", path);
        if (!lock_path)
                return -ENOMEM;

        _cleanup_close_ int fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                return error_set(error, -errno, "cannot open %s: %s", lock_path, strerror(errno));

        uint64_t until = usec_add(now_usec(CLOCK_BOOTTIME), lock_usec);
        while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
                if (errno != EWOULDBLOCK)
                        return error_set(error, -errno, "cannot lock %s: %s", lock_path, strerror(errno));
                if (now_usec(CLOCK_BOOTTIME) >= until)
                        return error_set(error, -EBUSY, "%s is in use by another process", path);
                (void) usleep(20 * USEC_PER_MSEC);
        }
        *ret_fd = TAKE_FD(fd);
        return 0;
}

static int execute(sqlite3 *sql, const char *text)
{
        return db_error(sql, sqlite3_exec(sql, text, NULL, NULL, NULL));
}

static int user_version(sqlite3 *sql)
{
        sqlite3_stmt *s = NULL;
        int version = -EIO;

        if (sqlite3_prepare_v2(sql, "PRAGMA user_version", -1, &s, NULL) == SQLITE_OK &&
                        sqlite3_step(s) == SQLITE_ROW)
                version = sqlite3_column_int(s, 0);
        (void) sqlite3_finalize(s);
        return version;
}

static int migrate(sqlite3 *sql, const char *path, const char *const *migrations, Error *error)
{
        int version = user_version(sql), newest = 0, r;

        while (migrations[newest])
                newest++;
        if (version < 0)
                return error_set(error, -EUCLEAN, "%s is not a database: %s", path, sqlite3_errmsg(sql));
        if (version > newest)
                return error_set(error, -EPROTO, "%s is of version %d, this program knows up to %d", path,
                                version, newest);

        for (; version < newest; version++) {
                _cleanup_free_ char *script = str_format("BEGIN EXCLUSIVE;%s;PRAGMA user_version=%d;COMMIT",
                                migrations[version], version + 1);
                if (!script)
                        return -ENOMEM;
                r = execute(sql, script);
                if (r < 0)
                        return error_set(error, r, "cannot bring %s to version %d: %s", path, version + 1,
                                        sqlite3_errmsg(sql));
        }
        return 0;
}

static int open_sql(Db *db, const char *path, Error *error)
{
        /* EXCLUSIVE: nobody else reads it, so WAL needs no shared memory file. */
        static const char pragmas[] = "PRAGMA locking_mode=EXCLUSIVE;"
                                      "PRAGMA journal_mode=WAL;"
                                      "PRAGMA synchronous=FULL;"
                                      "PRAGMA foreign_keys=ON;"
                                      "PRAGMA wal_autocheckpoint=1000";
        int r;

        /* SQLite makes its files as the umask says; these hold messages. */
        _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                return error_set(error, -errno, "cannot open %s: %s", path, strerror(errno));

        int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
        int rc = sqlite3_open_v2(path, &db->state.sql, flags, NULL);
        if (rc != SQLITE_OK)
                return error_set(error, db_error(db->state.sql, rc), "cannot open %s: %s", path,
                                sqlite3_errstr(rc));

        r = execute(db->state.sql, pragmas);
        if (r < 0)
                return error_set(error, r, "cannot read %s: %s", path, sqlite3_errmsg(db->state.sql));
        return 0;
}

int db_open(const char *path, const char *const *migrations, uint64_t lock_usec, const DbHot *hot, Db **ret,
                Error *error)
{
        pthread_condattr_t monotonic;
        int r;

        _cleanup_(db_closep) Db *db = calloc(1, sizeof *db);
        if (!db) {
                if (hot)
                        hot->free(hot->hot);
                return -ENOMEM;
        }
        if (hot)
                db->state.hot = *hot;
        db->lock_fd = -1;
        queue_init(&db->submitted);
        queue_init(&db->finished);
        queue_init(&db->staged);
        (void) pthread_mutex_init(&db->mutex, NULL);
        (void) pthread_condattr_init(&monotonic);
        (void) pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        (void) pthread_cond_init(&db->wake, &monotonic);
        (void) pthread_condattr_destroy(&monotonic);

        db->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (db->event_fd < 0)
                return -errno;
        r = take_lock(path, lock_usec, &db->lock_fd, error);
        if (r < 0)
                return r;
        r = open_sql(db, path, error);
        if (r < 0)
                return r;
        r = migrate(db->state.sql, path, migrations, error);
        if (r < 0)
                return r;
        r = hot ? db_state_open_redo(&db->state, path, error) : 0;
        if (r < 0)
                return r;
        *ret = TAKE_PTR(db);
        return 0;
}

int db_start(Db *db)
{
        sigset_t all, before;

        /* Signals are the loop's business. */
        (void) sigfillset(&all);
        (void) pthread_sigmask(SIG_BLOCK, &all, &before);
        int r = pthread_create(&db->thread, NULL, writer_thread, db);
        (void) pthread_sigmask(SIG_SETMASK, &before, NULL);
        db->started = r == 0;
        if (db->started)
                (void) pthread_setname_np(db->thread, "writer"); /* for top and perf */
        return -r;
}

Db *db_close(Db *db)
{
        sqlite3_stmt *s;

        if (!db)
                return NULL;
        if (db->started) {
                db_kick(db);
                (void) pthread_mutex_lock(&db->mutex);
                db->stop = true;
                (void) pthread_cond_signal(&db->wake);
                (void) pthread_mutex_unlock(&db->mutex);
                (void) pthread_join(db->thread, NULL);
                db_dispatch(db);
        }
        while (db->state.sql && (s = sqlite3_next_stmt(db->state.sql, NULL)))
                (void) sqlite3_finalize(s);
        (void) sqlite3_close(db->state.sql);
        db_state_clear(&db->state);
        (void) close_clear(&db->event_fd);
        (void) close_clear(&db->lock_fd);
        (void) pthread_cond_destroy(&db->wake);
        (void) pthread_mutex_destroy(&db->mutex);
        free(db);
        return NULL;
}

sqlite3 *db_sql(Db *db)
{
        assert(!db->started);
        return db->state.sql;
}

int db_lock_fd(Db *db)
{
        return db->lock_fd;
}

void db_submit_lazily(Db *db, DbOp *op)
{
        queue_append(&db->staged, op);
        db->n_staged++;
        db->pending++;
        db->urgent |= db->pending > LAZY_MAX;
        if (db->n_staged >= KICK_AT)
                db_kick(db);
}

void db_submit(Db *db, DbOp *op)
{
        db->urgent = true;
        db_submit_lazily(db, op);
}

void db_kick(Db *db)
{
        if (!db->staged.first)
                return;
        (void) pthread_mutex_lock(&db->mutex);
        bool wake = !db->submitted.first || (db->urgent && !db->submitted_urgent);
        db->submitted_urgent |= db->urgent;
        *db->submitted.end = db->staged.first;
        db->submitted.end = db->staged.end;
        if (wake)
                (void) pthread_cond_signal(&db->wake);
        (void) pthread_mutex_unlock(&db->mutex);
        queue_init(&db->staged);
        db->n_staged = 0;
        db->urgent = false;
}

int db_fd(Db *db)
{
        return db->event_fd;
}

void db_dispatch(Db *db)
{
        uint64_t count;
        DbOp *op;

        (void) !read(db->event_fd, &count, sizeof count);

        (void) pthread_mutex_lock(&db->mutex);
        op = db->finished.first;
        queue_init(&db->finished);
        (void) pthread_mutex_unlock(&db->mutex);

        for (DbOp *next; op; op = next) {
                next = op->next;
                db->pending--;
                crash_point("before-done");
                op->done(op, op->result);
                crash_point("behind-done");
        }
}

size_t db_pending(const Db *db)
{
        return db->pending;
}

bool db_is_alive(Db *db, uint64_t usec)
{
        uint64_t since = atomic_load(&db->busy_since);

        return since == 0 || now_usec(CLOCK_BOOTTIME) < usec_add(since, usec);
}
