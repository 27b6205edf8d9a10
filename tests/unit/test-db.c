/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/time-util.h"
#include "store/db.h"
#include "store/sql.h"

static const char *const schema[] = {"CREATE TABLE t (a INTEGER PRIMARY KEY)", NULL};
static const char *const newer_schema[] = {
                "CREATE TABLE t (a INTEGER PRIMARY KEY)", "ALTER TABLE t ADD COLUMN b TEXT", NULL};

typedef struct Fixture {
        char directory[64];
        char path[96];
} Fixture;

typedef struct Insert {
        DbOp op;
        int value;
        int result;
        unsigned order;
} Insert;

static unsigned n_done;

static int insert_run(DbOp *op, sqlite3 *sql)
{
        Insert *i = CONTAINER_OF(op, Insert, op);
        sqlite3_stmt *s = sql_statement(sql, "INSERT INTO t (a) VALUES (?)");

        if (!s)
                return -EIO;
        (void) sqlite3_bind_int(s, 1, abs(i->value));
        int r = sql_run(s);
        return r < 0 ? r : i->value < 0 ? -ECANCELED : 0;
}

static void insert_done(DbOp *op, int result)
{
        Insert *i = CONTAINER_OF(op, Insert, op);

        i->result = result;
        i->order = n_done++;
}

static void submit(Db *db, Insert *i, int value)
{
        *i = (Insert){.op = {.run = insert_run, .done = insert_done}, .value = value};
        db_submit(db, &i->op);
        db_kick(db);
}

static void settle(Db *db)
{
        for (int round = 0; db_pending(db) > 0 && round < 1000; round++) {
                struct pollfd p = {.fd = db_fd(db), .events = POLLIN};
                (void) poll(&p, 1, 100);
                db_dispatch(db);
        }
        assert_int_equal(db_pending(db), 0);
}

static int count(const char *path)
{
        sqlite3 *sql;
        sqlite3_stmt *s;

        assert_int_equal(sqlite3_open(path, &sql), SQLITE_OK);
        assert_int_equal(sqlite3_prepare_v2(sql, "SELECT count(*) FROM t", -1, &s, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(s), SQLITE_ROW);
        int n = sqlite3_column_int(s, 0);
        (void) sqlite3_finalize(s);
        (void) sqlite3_close(sql);
        return n;
}

static int setup(void **state)
{
        Fixture *f = calloc(1, sizeof *f);

        (void) snprintf(f->directory, sizeof f->directory, "/tmp/test-db-XXXXXX");
        if (!mkdtemp(f->directory))
                return -1;
        (void) snprintf(f->path, sizeof f->path, "%s/db", f->directory);
        n_done = 0;
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        static const char *const suffixes[] = {"", "-wal", "-shm", ".lock", ".sums"};
        Fixture *f = *state;
        char name[128];

        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++) {
                (void) snprintf(name, sizeof name, "%s%s", f->path, suffixes[i]);
                (void) unlink(name);
        }
        int r = rmdir(f->directory);
        free(f);
        return r;
}

static Db *open_db(const Fixture *f, const char *const *migrations)
{
        Db *db = NULL;
        Error error = {};

        assert_int_equal(db_open(f->path, migrations, 0, NULL, &db, &error), 0);
        assert_int_equal(db_start(db), 0);
        return db;
}

static void test_order_and_isolation(void **state)
{
        enum { N = 3000 };
        Insert *inserts = calloc(N, sizeof *inserts);
        Db *db = open_db(*state, schema);

        /* Every seventh fails after having written: only that one may be undone. */
        for (int i = 0; i < N; i++)
                submit(db, inserts + i, i % 7 == 3 ? -(i + 1) : i + 1);
        settle(db);
        for (unsigned i = 0; i < N; i++) {
                assert_int_equal(inserts[i].order, i);
                assert_int_equal(inserts[i].result, i % 7 == 3 ? -ECANCELED : 0);
        }
        db_close(db);

        int failed = (N - 3 + 6) / 7;
        assert_int_equal(count(((Fixture *) *state)->path), N - failed);
        free(inserts);
}

typedef struct Deny {
        Insert insert;
        const char *what; /* SQLite refuses this from here on; NULL: nothing any more */
} Deny;

static int authorize(void *userdata, int action, const char *operation, const char *savepoint, const char *c,
                const char *d)
{
        return action == SQLITE_SAVEPOINT && strcmp(operation, userdata) == 0 ? SQLITE_DENY : SQLITE_OK;
}

static int deny_run(DbOp *op, sqlite3 *sql)
{
        Deny *d = CONTAINER_OF(CONTAINER_OF(op, Insert, op), Deny, insert);

        (void) sqlite3_set_authorizer(sql, d->what ? authorize : NULL, (void *) d->what);
        return insert_run(op, sql);
}

static void submit_deny(Db *db, Deny *d, const char *what, int value)
{
        *d = (Deny){{.op = {.run = deny_run, .done = insert_done}, .value = value}, what};
        db_submit(db, &d->insert.op);
        db_kick(db);
        settle(db);
}

/* What an operation wrote cannot be undone alone (for example, there is no memory for that): nothing of its
 * batch is kept, and all of it is refused. */
static void test_cannot_be_undone(void **state)
{
        static const char *const denied[] = {"ROLLBACK", "RELEASE"};

        for (size_t i = 0; i < ELEMENTSOF(denied); i++) {
                const bool fails = i == 0;
                Db *db = open_db(*state, schema);
                Deny bad, good;

                submit_deny(db, &bad, denied[i], fails ? -1 : 1);
                assert_true(bad.insert.result < 0);
                submit_deny(db, &good, NULL, 2 + (int) i);
                assert_int_equal(good.insert.result, 0);
                db_close(db);
                assert_int_equal(count(((Fixture *) *state)->path), i + 1);
        }
}

static void test_constraint(void **state)
{
        Insert a, b, c;
        Db *db = open_db(*state, schema);

        submit(db, &a, 1);
        submit(db, &b, 1);
        submit(db, &c, 2);
        settle(db);
        assert_int_equal(a.result, 0);
        assert_int_equal(b.result, -EEXIST);
        assert_int_equal(c.result, 0);
        db_close(db);
}

static void test_close_finishes(void **state)
{
        Insert inserts[500];
        Db *db = open_db(*state, schema);

        for (int i = 0; i < 500; i++)
                submit(db, inserts + i, i + 1);
        db_close(db);
        for (int i = 0; i < 500; i++)
                assert_int_equal(inserts[i].result, 0);
        assert_int_equal(count(((Fixture *) *state)->path), 500);
}

typedef struct Chain {
        DbOp op;
        Db *db;
        int value, last;
        bool lazily;
        int result; /* of the last one */
} Chain;

static int chain_run(DbOp *op, sqlite3 *sql)
{
        sqlite3_stmt *s = sql_statement(sql, "INSERT INTO t (a) VALUES (?)");

        (void) sqlite3_bind_int(s, 1, CONTAINER_OF(op, Chain, op)->value);
        return sql_run(s);
}

/* Submits the next operation of the chain; the first one submits 200 others too. */
static void chain_done(DbOp *op, int result)
{
        static Insert ends[200];
        Chain *c = CONTAINER_OF(op, Chain, op);

        c->result = result;
        if (c->value++ == c->last)
                return;
        if (c->lazily)
                db_submit_lazily(c->db, op);
        else
                db_submit(c->db, op);
        for (int i = 0; c->value == 2 && i < 200; i++) {
                ends[i] = (Insert){.op = {.run = insert_run, .done = insert_done}, .value = 1000 + i};
                db_submit(c->db, &ends[i].op);
        }
}

/* What a `done` submits while the database is closed is done as well, however much it is. */
static void test_close_finishes_what_done_submits(void **state)
{
        const char *path = ((Fixture *) *state)->path;
        Chain c = {.op = {.run = chain_run, .done = chain_done}, .value = 1, .last = 5};

        c.db = open_db(*state, schema);
        db_submit(c.db, &c.op);
        db_close(c.db);
        assert_int_equal(c.result, 0);
        assert_int_equal(count(path), 205);
        assert_int_equal(n_done, 200);

        c = (Chain){.op = {.run = chain_run, .done = chain_done}, .value = 6, .last = 8, .lazily = true};
        c.db = open_db(*state, schema);
        db_submit_lazily(c.db, &c.op);
        db_close(c.db);
        assert_int_equal(c.result, 0);
        assert_int_equal(count(path), 208);
}

/* An operation that nobody waits for goes with the next one that somebody waits for, or alone after a
 * moment. */
static void test_lazily(void **state)
{
        Insert lazy, urgent;
        Db *db = open_db(*state, schema);

        lazy = (Insert){.op = {.run = insert_run, .done = insert_done}, .value = 1};
        db_submit_lazily(db, &lazy.op);
        submit(db, &urgent, 2);
        settle(db);
        assert_int_equal(lazy.order, 0);
        assert_int_equal(urgent.order, 1);

        lazy = (Insert){.op = {.run = insert_run, .done = insert_done}, .value = 3, .result = 1};
        db_submit_lazily(db, &lazy.op);
        db_kick(db);
        settle(db);
        assert_int_equal(lazy.result, 0);
        db_close(db);
}

typedef struct Hang {
        DbOp op;
        int started[2], go_on[2]; /* pipes */
} Hang;

static int hang_run(DbOp *op, sqlite3 *sql)
{
        Hang *h = CONTAINER_OF(op, Hang, op);
        char byte = 0;

        assert_int_equal(write(h->started[1], &byte, 1), 1);
        assert_int_equal(read(h->go_on[0], &byte, 1), 1);
        return 0;
}

static void hang_done(DbOp *op, int result)
{
}

static void test_alive(void **state)
{
        Hang h = {.op = {.run = hang_run, .done = hang_done}};
        Db *db = open_db(*state, schema);
        char byte = 0;

        assert_int_equal(pipe(h.started), 0);
        assert_int_equal(pipe(h.go_on), 0);
        assert_true(db_is_alive(db, 0));
        db_submit(db, &h.op);
        db_kick(db);
        assert_int_equal(read(h.started[0], &byte, 1), 1);
        assert_false(db_is_alive(db, 0)); /* it has run for longer than no time */
        assert_true(db_is_alive(db, 3600 * USEC_PER_SEC));
        assert_int_equal(write(h.go_on[1], &byte, 1), 1);
        settle(db);
        db_close(db);
        for (size_t i = 0; i < 2; i++) {
                (void) close(h.started[i]);
                (void) close(h.go_on[i]);
        }
}

static void test_cannot_be_opened(void **state)
{
        static const char *const bad_schema[] = {"CREATE TABLE", NULL};
        Fixture *f = *state;
        char below[128];
        Db *db = NULL;
        Error error = {};

        (void) snprintf(below, sizeof below, "%s/missing/db", f->directory);
        assert_int_equal(db_open(below, schema, 0, NULL, &db, &error), -ENOENT);
        assert_true(db_open(f->path, bad_schema, 0, NULL, &db, &error) < 0);
        assert_non_null(strstr(error.text, "version 1"));
        assert_null(db);
        assert_null(db_close(NULL));
}

/* The lock is one file, and the same one for as long as the directory is. */
static void test_lock_identity(void **state)
{
        uint64_t device, inode, device_again, inode_again;
        Db *db = open_db(*state, schema);

        assert_true(db_lock_fd(db) >= 0);
        assert_int_equal(db_lock_identity(db, &device, &inode), 0);
        db_close(db);
        db = open_db(*state, schema);
        assert_int_equal(db_lock_identity(db, &device_again, &inode_again), 0);
        assert_true(device == device_again && inode == inode_again);
        db_close(db);
}

/* As another process sees it. This one must not open the file: to close it would drop the lock. */
static bool is_locked(const char *path)
{
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        int status;
        pid_t pid = fork();

        if (pid == 0) {
                int fd = open(path, O_RDWR | O_CLOEXEC);
                _exit(fd < 0 || fcntl(fd, F_GETLK, &lock) < 0 ? 2 : lock.l_type != F_UNLCK);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
        return WEXITSTATUS(status);
}

/* Also SQLite's own lock is held: the sqlite3 program would otherwise spoil a database that is in use. */
static void test_the_database_is_locked(void **state)
{
        const char *path = ((Fixture *) *state)->path;
        Db *db = open_db(*state, schema);

        assert_true(is_locked(path));
        db_close(db);
        assert_false(is_locked(path));
}

static void test_lock_and_versions(void **state)
{
        Fixture *f = *state;
        Db *db = open_db(f, newer_schema), *second = NULL;
        Error error = {};

        assert_int_equal(db_open(f->path, newer_schema, 50 * USEC_PER_MSEC, NULL, &second, &error), -EBUSY);
        assert_null(second);
        db_close(db);

        /* A newer program wrote this: an older one must not touch it. */
        assert_int_equal(db_open(f->path, schema, 0, NULL, &second, &error), -EPROTO);
        db_close(open_db(f, newer_schema));
}

static void test_not_a_database(void **state)
{
        Fixture *f = *state;
        Db *db = NULL;
        Error error = {};
        FILE *file = fopen(f->path, "w");

        for (int i = 0; i < 100; i++)
                (void) fputs("this is no database at all\n", file);
        (void) fclose(file);
        assert_true(db_open(f->path, schema, 0, NULL, &db, &error) < 0);
        assert_null(db);
        assert_true(error.text[0] != '\0');
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_order_and_isolation, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_cannot_be_undone, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_constraint, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_close_finishes, setup, teardown),
                        cmocka_unit_test_setup_teardown(
                                        test_close_finishes_what_done_submits, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_lazily, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_alive, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_cannot_be_opened, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_lock_identity, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_the_database_is_locked, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_lock_and_versions, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_not_a_database, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
