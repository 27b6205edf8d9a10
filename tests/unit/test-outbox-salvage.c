/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An outbox that cannot be read any more, and the redo log beside it, which stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "outbox-fixture.h"
#include "store/outbox-salvage.h"

#define PAGE 4096

static int root_page_of(Fixture *f, const char *table)
{
        sqlite3_stmt *s = NULL;
        Error error = {};
        Db *db = NULL;
        int page;

        assert_int_equal(outbox_open(f->path, &db, &error), 0);
        assert_int_equal(sqlite3_prepare_v2(db_sql(db), "SELECT rootpage FROM sqlite_schema WHERE name = ?",
                                         -1, &s, NULL),
                        SQLITE_OK);
        (void) sqlite3_bind_text(s, 1, table, -1, SQLITE_STATIC);
        assert_int_equal(sqlite3_step(s), SQLITE_ROW);
        page = sqlite3_column_int(s, 0);
        (void) sqlite3_finalize(s);
        db_close(db);
        return page;
}

static void damage_page(Fixture *f, int page)
{
        FILE *file = fopen(f->path, "r+");
        int c;

        assert_non_null(file);
        assert_int_equal(fseek(file, (long) (page - 1) * PAGE + PAGE - 2, SEEK_SET), 0);
        c = fgetc(file);
        assert_int_equal(fseek(file, -1, SEEK_CUR), 0);
        assert_true(fputc(c ^ 1, file) >= 0);
        assert_int_equal(fclose(file), 0);
}

/* Ends it, damages the table, and salvages what is there. */
static void salvage_without(Fixture *f, const char *table, OutboxSalvage *ret)
{
        Error error = {};

        f->db = db_close(f->db);
        damage_page(f, root_page_of(f, table));
        assert_int_equal(outbox_open(f->path, &f->db, &error), -EUCLEAN);
        assert_int_equal(outbox_salvage(f->path, ret, &error), 0);
}

static OutboxRecord *find_all(Fixture *f, size_t *ret_n)
{
        OutboxFindOp o;

        outbox_find_op_init(&o, OUTBOX_NEWEST, 100);
        o.number = INT64_MAX;
        o.states = UINT32_MAX;
        assert_int_equal(run(f, &o.op), 0);
        *ret_n = o.n_records;
        return o.records;
}

/* Nobody knows how much of the redo log the tables have. What is there stays as it is. */
static void test_the_log_is_older_than_the_tables(void **state)
{
        OutboxAttempt attempt = {.attempt = 1, .outcome = "failed", .detail = (char *) ""};
        Fixture *f = *state;
        OutboxSalvage found;
        OutboxSaveOp o;
        size_t n;

        for (uint64_t i = 1; i <= 3; i++) {
                OutboxRecord record = bind(record_of(i, "any//"), i);
                insert(f, &record);
        }
        outbox_save_op_init(&o);
        o.record = bind(record_of(2, "any//"), 2);
        o.record.state = DELIVERY_ACKED;
        o.record.settled_usec = 9000;
        o.attempts = &attempt;
        assert_int_equal(run(f, &o.op), 0);

        salvage_without(f, "redo", &found);
        assert_int_equal(found.n_messages, 3);
        start(f);
        assert_true(db_damage(f->db)->found);
        OutboxRecord *records = find_all(f, &n);
        assert_int_equal(n, 3);
        for (size_t i = 0; i < n; i++)
                assert_int_equal(records[i].state, records[i].number == 2 ? DELIVERY_ACKED : DELIVERY_BOUND);
        outbox_records_free(records, n);
        /* Whoever reads it knows by db_damage() that this is to be called; afterwards no start says it. */
        start(f);
        assert_false(db_damage(f->db)->found);
}

static void insert_large(Fixture *f, uint64_t number)
{
        static char large[3000];
        OutboxInsertOp o;

        outbox_insert_op_init(&o);
        o.record = record_of(number, "any//");
        memcpy(o.record.id.bytes + 8, &number, sizeof number);
        o.record.size = sizeof large;
        memset(large, (int) ('a' + number % 26), sizeof large);
        o.payload = large;
        assert_int_equal(run(f, &o.op), 0);
}

/* Two old messages and a new one are on a page that is damaged; all between them has ended long ago. */
static void test_a_gap_in_the_numbers(void **state)
{
        static char content[1 << 20];
        Fixture *f = *state;
        OutboxSalvage found;
        OutboxRecord record;
        Error error = {};

        insert_large(f, 1);
        record = record_of(2, "any//");
        insert(f, &record);
        record = record_of(300001, "any//");
        record.id.bytes[3] = 1;
        insert(f, &record);
        insert_large(f, 300002);
        insert_large(f, 300003);
        f->db = db_close(f->db);
        FILE *file = fopen(f->path, "r");
        assert_non_null(file);
        const size_t n = fread(content, 1, sizeof content, file);
        (void) fclose(file);
        const char *at = memmem(content, n, "bbbbbbbb", 8); /* of message 1 */
        assert_non_null(at);
        damage_page(f, (int) ((at - content) / PAGE) + 1);
        assert_int_equal(outbox_salvage(f->path, &found, &error), 0);
        assert_int_equal(found.n_messages, 2);
        assert_int_equal(found.n_lost, 3);
}

/* As the program sqlite3 does it. */
static void run_elsewhere(Fixture *f, const char *text)
{
        sqlite3 *sql = NULL;

        assert_int_equal(sqlite3_open(f->path, &sql), SQLITE_OK);
        assert_int_equal(sqlite3_exec(sql, text, NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_close(sql), SQLITE_OK);
}

/* Whoever looks into what a killed client has left, writes to it. Nothing is lost. */
static void test_another_program_has_looked(void **state)
{
        Fixture *f = *state;
        OutboxRecord record = record_of(1, "any//");
        size_t n;

        insert(f, &record);
        f->db = crash(f->directory, f->db);
        run_elsewhere(f, "SELECT count(*) FROM message");
        start(f);
        assert_true(db_damage(f->db)->found); /* it cannot be told from a loss */
        OutboxRecord *records = find_all(f, &n);
        assert_int_equal(n, 1);
        outbox_records_free(records, n);
        start(f);
        assert_false(db_damage(f->db)->found);
}

/* The text says how to go on. */
static void test_another_program_has_written(void **state)
{
        Fixture *f = *state;
        OutboxRecord record = record_of(1, "any//");
        OutboxSalvage found;
        Error error = {};
        char sums[128];
        size_t n;

        insert(f, &record);
        f->db = db_close(f->db);
        run_elsewhere(f, "UPDATE message SET target = 'x'; VACUUM");
        assert_int_equal(outbox_salvage(f->path, &found, &error), -EUCLEAN);
        (void) snprintf(sums, sizeof sums, "%s.sums", f->path);
        assert_non_null(strstr(error.text, sums));
        assert_int_equal(unlink(sums), 0);
        start(f);
        OutboxRecord *records = find_all(f, &n);
        assert_int_equal(n, 1);
        outbox_records_free(records, n);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(
                                        test_the_log_is_older_than_the_tables, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_a_gap_in_the_numbers, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_another_program_has_looked, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_another_program_has_written, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
