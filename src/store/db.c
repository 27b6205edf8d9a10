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
#include "base/str-util.h"
#include "base/time-util.h"

/* One transaction takes at most so many operations, so that a flood cannot put off the first one's sync for
 * ever. */
#define BATCH_MAX 1024u

typedef struct Queue {
        DbOp *first;
        DbOp **end;
} Queue;

struct Db {
        sqlite3 *sql;
        int lock_fd;  /* held for as long as the database is open */
        int event_fd; /* readable while `finished` has operations */

        pthread_t thread;
        bool started;
        size_t pending; /* the loop's own count */

        pthread_mutex_t mutex; /* guards what follows */
        pthread_cond_t wake;
        Queue submitted;
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

int db_error(sqlite3 *sql, int rc)
{
        static const struct {
                int code, error;
        } table[] = {
                        {SQLITE_FULL,       ENOSPC },
                        {SQLITE_NOMEM,      ENOMEM },
                        {SQLITE_CONSTRAINT, EEXIST },
                        {SQLITE_BUSY,       EBUSY  },
                        {SQLITE_LOCKED,     EBUSY  },
                        {SQLITE_READONLY,   EROFS  },
                        {SQLITE_PERM,       EACCES },
                        {SQLITE_CANTOPEN,   ENOENT },
                        {SQLITE_CORRUPT,    EUCLEAN},
                        {SQLITE_NOTADB,     EUCLEAN},
                        {SQLITE_TOOBIG,     E2BIG  },
                        {SQLITE_MISUSE,     EINVAL },
        };

        if (rc == SQLITE_OK || rc == SQLITE_DONE || rc == SQLITE_ROW)
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (table[i].code == (rc & 0xFF))
                        return -table[i].error;

        int os = sql ? sqlite3_system_errno(sql) : 0;
        return os > 0 ? -os : -EIO;
}

static int execute(sqlite3 *sql, const char *text)
{
        return db_error(sql, sqlite3_exec(sql, text, NULL, NULL, NULL));
}

/* SQLite keeps a list of a connection's statements; ours is found in it by its text, so no list of our own
 * is needed. A walk over a few dozen is cheap beside running one. */
sqlite3_stmt *db_statement(sqlite3 *sql, const char *text)
{
        sqlite3_stmt *s = NULL;

        while ((s = sqlite3_next_stmt(sql, s)))
                if (str_equal(sqlite3_sql(s), text)) {
                        (void) sqlite3_reset(s);
                        (void) sqlite3_clear_bindings(s);
                        return s;
                }
        if (sqlite3_prepare_v3(sql, text, -1, SQLITE_PREPARE_PERSISTENT, &s, NULL) != SQLITE_OK)
                return NULL;
        return s;
}

int db_step_done(sqlite3_stmt *s)
{
        int rc;

        if (!s)
                return -EIO;
        while ((rc = sqlite3_step(s)) == SQLITE_ROW)
                ;

        int r = db_error(sqlite3_db_handle(s), rc);
        (void) sqlite3_reset(s);
        return r;
}

/* One operation inside the batch's transaction; what it wrote is undone when it fails. */
static int run_one(Db *db, DbOp *op)
{
        int r;

        r = db_step_done(db_statement(db->sql, "SAVEPOINT op"));
        if (r < 0)
                return r;

        int result = op->run(op, db->sql);
        if (result < 0)
                (void) db_step_done(db_statement(db->sql, "ROLLBACK TO op"));
        r = db_step_done(db_statement(db->sql, "RELEASE op"));
        return result < 0 ? result : r;
}

/* SQLite itself rolls a transaction back on some errors (a full disk among them); then all of the batch is
 * gone. */
static int run_batch(Db *db, DbOp *first)
{
        int r;

        r = db_step_done(db_statement(db->sql, "BEGIN IMMEDIATE"));
        for (DbOp *op = first; op && r >= 0; op = op->next) {
                op->result = run_one(db, op);
                if (sqlite3_get_autocommit(db->sql))
                        r = op->result < 0 ? op->result : -EIO;
        }
        if (r >= 0)
                r = db_step_done(db_statement(db->sql, "COMMIT"));
        if (r < 0 && !sqlite3_get_autocommit(db->sql))
                (void) db_step_done(db_statement(db->sql, "ROLLBACK"));
        return r;
}

/* Takes at most BATCH_MAX operations off the queue, waiting for the first; NULL when it is empty and we
 * shall stop. */
static DbOp *take_batch(Db *db)
{
        DbOp *first = NULL;
        DbOp **end;
        unsigned n = 0;

        (void) pthread_mutex_lock(&db->mutex);
        while (!db->submitted.first && !db->stop)
                (void) pthread_cond_wait(&db->wake, &db->mutex);

        end = &db->submitted.first;
        while (*end && n++ < BATCH_MAX)
                end = &(*end)->next;
        if (n > 0) {
                first = db->submitted.first;
                db->submitted.first = *end;
                if (!*end)
                        db->submitted.end = &db->submitted.first;
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
                int r = run_batch(db, first);
                atomic_store(&db->busy_since, 0);
                hand_back(db, first, r);
        }
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
                                      "PRAGMA wal_autocheckpoint=4000";
        int r;

        /* SQLite makes its files as the umask says; these hold messages. */
        _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                return error_set(error, -errno, "cannot open %s: %s", path, strerror(errno));

        int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
        int rc = sqlite3_open_v2(path, &db->sql, flags, NULL);
        if (rc != SQLITE_OK)
                return error_set(error, db_error(db->sql, rc), "cannot open %s: %s", path,
                                sqlite3_errstr(rc));

        r = execute(db->sql, pragmas);
        if (r < 0)
                return error_set(error, r, "cannot read %s: %s", path, sqlite3_errmsg(db->sql));
        return 0;
}

int db_open(const char *path, const char *const *migrations, uint64_t lock_usec, Db **ret, Error *error)
{
        int r;

        _cleanup_(db_closep) Db *db = calloc(1, sizeof *db);
        if (!db)
                return -ENOMEM;
        db->lock_fd = -1;
        queue_init(&db->submitted);
        queue_init(&db->finished);
        (void) pthread_mutex_init(&db->mutex, NULL);
        (void) pthread_cond_init(&db->wake, NULL);

        db->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (db->event_fd < 0)
                return -errno;
        r = take_lock(path, lock_usec, &db->lock_fd, error);
        if (r < 0)
                return r;
        r = open_sql(db, path, error);
        if (r < 0)
                return r;
        r = migrate(db->sql, path, migrations, error);
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
        return -r;
}

Db *db_close(Db *db)
{
        sqlite3_stmt *s;

        if (!db)
                return NULL;
        if (db->started) {
                (void) pthread_mutex_lock(&db->mutex);
                db->stop = true;
                (void) pthread_cond_signal(&db->wake);
                (void) pthread_mutex_unlock(&db->mutex);
                (void) pthread_join(db->thread, NULL);
                db_dispatch(db);
        }
        while (db->sql && (s = sqlite3_next_stmt(db->sql, NULL)))
                (void) sqlite3_finalize(s);
        (void) sqlite3_close(db->sql);
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
        return db->sql;
}

int db_lock_fd(Db *db)
{
        return db->lock_fd;
}

void db_submit(Db *db, DbOp *op)
{
        (void) pthread_mutex_lock(&db->mutex);
        bool idle = !db->submitted.first;
        queue_append(&db->submitted, op);
        if (idle)
                (void) pthread_cond_signal(&db->wake);
        (void) pthread_mutex_unlock(&db->mutex);
        db->pending++;
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
                op->done(op, op->result);
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
