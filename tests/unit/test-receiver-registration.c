/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The receiver at discovery: registration, lease, disputes of its id, becoming a new receiver, leaving. */

#include "receiver-fixture.h"

#include "world/disk.h"

#define OTHER_ID "22222222-2222-4222-8222-222222222222"
#define REGISTER "/v1/receivers"
#define BEAT     "/v1/receivers/" RECEIVER_TEXT_ID "/heartbeat"
#define ALIVE    "{\"lease_seconds\":30,\"draining\":false}"

static void answer(TestRequest *q, int status, const char *body)
{
        world_answer(q, status, body);
        world_settle();
}

static void restart(Fixture *f)
{
        fixture_end(f);
        assert_int_equal(fixture_new(f), 0);
}

static void test_first_start(void **state)
{
        Fixture *f = *state;
        TestRequest *q;

        assert_int_equal(strv_append(&f->config.labels, "colour=red"), 0);
        assert_int_equal(fixture_new(f), 0);
        assert_int_equal(world_n_ready(), 0);
        assert_int_equal(f->receiver->condition.id, ID_NONE);
        q = asked("POST", REGISTER);
        assert_null(q->token);
        assert_non_null(strstr(q->body, "\"one\""));
        assert_non_null(strstr(q->body, "\"colour\""));
        assert_non_null(strstr(q->body, "unix:/r.sock"));
        assert_null(strstr(q->body, "previous_instance"));
        fixture_register(RECEIVER_TEXT_ID, 30);
        assert_int_equal(world_n_ready(), 1);
        assert_non_null(strstr(world_status(), "Serving as one (" RECEIVER_TEXT_ID ")"));

        world_advance(10 * USEC_PER_SEC);
        q = asked("POST", BEAT);
        assert_string_equal(q->token, "t1");
        answer(q, 200, "{\"lease_seconds\":60,\"draining\":false}");
        world_advance(19 * USEC_PER_SEC);
        assert_null(world_request(""));
        world_advance(USEC_PER_SEC);
        asked("POST", BEAT);
}

/* It serves at once, and claims the instance that it replaces. */
static void test_second_start(void **state)
{
        Fixture *f = *state;
        TestRequest *q;

        fixture_start(f);
        restart(f);
        q = asked("POST", REGISTER);
        assert_string_equal(q->token, "t1");
        assert_non_null(strstr(q->body, RECEIVER_TEXT_ID));
        assert_non_null(strstr(q->body, "previous_instance"));
        (void) sender_open();
        assert_int_equal(world_n_ready(), 1); /* that of the first start */
        fixture_register(RECEIVER_TEXT_ID, 30);
        assert_int_equal(world_n_ready(), 2);
}

static void test_unreachable(void **state)
{
        Fixture *f = *state;

        assert_int_equal(fixture_new(f), 0);
        for (unsigned i = 0; i < 5; i++) {
                answer(asked("POST", REGISTER), -ECONNREFUSED, NULL);
                assert_non_null(strstr(world_status(), "Waiting for discovery: discovery at"));
                world_advance(5 * USEC_PER_SEC);
        }
        answer(asked("POST", REGISTER), 201, "{\"id\":1}");
        assert_true(world_n_extended() > 3);
        world_advance(10 * USEC_PER_SEC);
        refuse(asked("POST", REGISTER), 409, "name-taken", -1);
        assert_non_null(strstr(world_status(), "the name one is taken"));
        world_advance(10 * USEC_PER_SEC);
        refuse(asked("POST", REGISTER), 400, "bad-request", -1);
        assert_non_null(strstr(world_status(), "discovery refuses the registration (400: no)"));
        world_advance(10 * USEC_PER_SEC);
        fixture_register(RECEIVER_TEXT_ID, 30);
        world_advance(10 * USEC_PER_SEC);
        answer(asked("POST", BEAT), -ETIMEDOUT, NULL);
        assert_non_null(strstr(world_status(), "Serving: discovery at"));
        (void) sender_open();
        world_advance(10 * USEC_PER_SEC);
        answer(asked("POST", BEAT), 200, ALIVE);
        assert_int_equal(f->receiver->registration.failures, 0);
}

/* Discovery has lost it: it registers again, and its connections go on. */
static void test_forgotten(void **state)
{
        TestSocket *s;

        fixture_start(*state);
        s = sender_open();
        world_advance(10 * USEC_PER_SEC);
        answer(asked("POST", BEAT), 404, "{}");
        fixture_register(RECEIVER_TEXT_ID, 30);
        assert_int_equal(world_n_ready(), 1); /* READY=1 is sent once */
        send_message(s, message(1, "x"));
        expect_answer(s, 1, OUTCOME_ACKED, "");
        world_advance(10 * USEC_PER_SEC);
        asked("POST", BEAT);
}

static void reload_with_queue(Fixture *f, uint32_t queue)
{
        ReceiverConfig fresh = f->config;

        fresh.command = NULL;
        fresh.queue = queue;
        assert_int_equal(receiver_reload(f->receiver, &fresh, &f->error), 0);
        world_settle();
}

static void test_capacity_changes(void **state)
{
        Fixture *f = *state;

        fixture_start(f);
        reload_with_queue(f, 99);
        assert_non_null(strstr(asked("POST", REGISTER)->body, "100"));
}

/* The next heartbeat comes when the identity is on the disk. */
static void test_capacity_changes_while_identity_is_written(void **state)
{
        Fixture *f = *state;

        fixture_start(f);
        world_advance(10 * USEC_PER_SEC);
        answer(asked("POST", BEAT), 404, "{}");
        world_hold_disk(true);
        answer(asked("POST", REGISTER), 201,
                        "{\"id\":\"" RECEIVER_TEXT_ID "\",\"token\":\"t2\",\"lease_seconds\":30}");
        reload_with_queue(f, 99);
        assert_null(world_request(""));
        world_hold_disk(false);
        world_settle();
        assert_null(world_request(""));
        world_advance(10 * USEC_PER_SEC);
        assert_non_null(strstr(asked("POST", REGISTER)->body, "100"));
        assert_string_equal(asked("POST", REGISTER)->token, "t2");
}

/* Nobody is accepted before it is somebody, for good. */
static void test_identity_is_synced_first(void **state)
{
        Fixture *f = *state;

        assert_int_equal(fixture_new(f), 0);
        world_hold_disk(true);
        fixture_register(RECEIVER_TEXT_ID, 30);
        assert_int_equal(world_n_ready(), 0);
        assert_non_null(world_connect(RECEIVER_ADDRESS));
        world_settle();
        assert_int_equal(f->receiver->conns.n, 0);
        world_hold_disk(false);
        world_settle();
        assert_int_equal(world_n_ready(), 1);
        assert_int_equal(f->receiver->conns.n, 1);
}

/* What discovery has listed, the receiver is: in the next attempt and after a restart, too. */
static void test_first_answer_is_lost(void **state)
{
        Fixture *f = *state;
        char id[SD_ID128_UUID_STRING_MAX];

        assert_int_equal(fixture_new(f), 0);
        (void) sd_id128_to_uuid_string(f->receiver->info.id, id);
        assert_non_null(strstr(asked("POST", REGISTER)->body, id));
        answer(asked("POST", REGISTER), -ETIMEDOUT, NULL);
        world_advance(5 * USEC_PER_SEC);
        assert_non_null(strstr(asked("POST", REGISTER)->body, id));
        restart(f);
        assert_int_equal(f->receiver->condition.id, ID_NONE);
        assert_non_null(strstr(asked("POST", REGISTER)->body, id));
        refuse(asked("POST", REGISTER), 401, "token-missing", 100);
        answer(asked("GET", "/v1/status"), 200, "{\"lease_seconds\":5}");
        assert_int_equal(f->receiver->condition.id, ID_NONE);
        world_advance(5500 * USEC_PER_MSEC);
        assert_non_null(strstr(asked("POST", REGISTER)->body, id));
        fixture_register(id, 5);
        assert_int_equal(f->receiver->condition.id, ID_OURS);
        assert_int_equal(world_n_ready(), 1);
}

/* Discovery does not list what the next start does not know. */
static void test_id_cannot_be_written(void **state)
{
        Fixture *f = *state;

        assert_int_equal(receiver_new(&f->config, &f->receiver, &f->error), 0);
        fake_disk_fail(1, ENOSPC, true);
        world_settle();
        assert_null(world_request(""));
        assert_non_null(strstr(world_status(), "the identity cannot be written"));
        fake_disk_fail(0, 0, false);
        world_advance(5 * USEC_PER_SEC);
        fixture_register(RECEIVER_TEXT_ID, 30);
        assert_int_equal(world_n_ready(), 1);
}

static void test_identity_cannot_be_written(void **state)
{
        Fixture *f = *state;

        assert_int_equal(fixture_new(f), 0);
        fake_disk_fail(1, ENOSPC, true);
        fixture_register(RECEIVER_TEXT_ID, 30);
        assert_int_equal(world_n_ready(), 0);
        assert_non_null(strstr(world_status(), "the identity cannot be written"));
        fake_disk_fail(0, 0, false);
        world_advance(5 * USEC_PER_SEC);
        fixture_register(RECEIVER_TEXT_ID, 30);
        assert_int_equal(world_n_ready(), 1);
}

/* All state of the old id must go: when it cannot, the receiver ends. */
static void test_reset_fails(void **state)
{
        Fixture *f = *state;
        int code = -1;

        fixture_start(f);
        restart(f);
        refuse(asked("POST", REGISTER), 409, "id-alive", 100);
        answer(asked("GET", "/v1/status"), 200, "{\"lease_seconds\":5}");
        world_advance(5500 * USEC_PER_MSEC);
        fake_disk_fail(1, ENOSPC, true);
        refuse(asked("POST", REGISTER), 409, "id-alive", 100);
        assert_true(world_has_exited(f->receiver->loop, &code));
        assert_int_equal(code, EXIT_FAILURE);
        fake_disk_fail(0, 0, false);
}

/* Disputes. */

static void expect_hello_refused(void)
{
        Frame hello = {.type = FRAME_HELLO, .hello.name = {(const uint8_t *) "h", 1}};
        TestSocket *s = world_connect(RECEIVER_ADDRESS);

        assert_true(sd_id128_from_string(RECEIVER_TEXT_ID, &hello.hello.receiver) >= 0);
        send_frame(s, &hello);
        expect_error(s, "no id of its own yet");
}

/* The other instance was a dead one: it is gone after one lease. */
static void test_dispute_ends(void **state)
{
        Fixture *f = *state;

        fixture_start(f);
        restart(f);
        refuse(asked("POST", REGISTER), 409, "id-alive", 20000);
        answer(asked("GET", "/v1/status"), 200, "{\"lease_seconds\":5}");
        assert_int_equal(f->receiver->condition.id, ID_DISPUTED);
        expect_hello_refused();
        assert_non_null(strstr(world_status(), "another instance has this receiver's id"));
        world_advance(5400 * USEC_PER_MSEC);
        assert_null(world_request(""));
        world_advance(100 * USEC_PER_MSEC);
        fixture_register(RECEIVER_TEXT_ID, 5);
        assert_int_equal(f->receiver->condition.id, ID_OURS);
        (void) sender_open();
}

/* Discovery has heard it meanwhile: this directory is a copy, and we become a new receiver. */
static void test_become_new(void **state)
{
        Fixture *f = *state;
        MessageFrame m = message(2, "x");
        TestSocket *s, *text;

        f->config.plain_text = true;
        f->config.concurrency = 3;
        fixture_set_command(f, "work");
        fixture_start(f);
        restart(f);
        s = sender_open(); /* before discovery has answered */
        send_message(s, message(1, "x"));
        send_message(s, m);
        text = world_connect(RECEIVER_ADDRESS);
        world_send(text, "x", 1);
        world_settle();
        refuse(asked("POST", REGISTER), 409, "token-wrong", -1);
        answer(asked("GET", "/v1/status"), 200, "{\"lease_seconds\":5}");
        world_advance(1900 * USEC_PER_MSEC);
        expect_nothing(s);
        world_advance(3600 * USEC_PER_MSEC);
        refuse(asked("POST", REGISTER), 409, "id-alive", 1000);
        for (Frame frame = next_frame(s);; frame = next_frame(s)) {
                if (frame.type == FRAME_GOODBYE)
                        break;
                assert_int_equal(frame.answer.outcome, OUTCOME_WORKING);
        }
        expect_nothing(s);
        assert_null(world_child(0)); /* killed; nothing is recorded */
        assert_int_equal(f->receiver->jobs.n, 0);
        assert_int_equal(f->receiver->condition.id, ID_NONE);
        TestRequest *q = asked("POST", REGISTER);
        assert_null(q->token);
        assert_null(strstr(q->body, "previous_instance"));
        assert_null(strstr(q->body, RECEIVER_TEXT_ID));
        fixture_register(OTHER_ID, 5);
        assert_int_equal(f->receiver->condition.id, ID_OURS);
        restart(f);
        assert_non_null(strstr(asked("POST", REGISTER)->body, OTHER_ID));
}

/* The second answer may be about ourselves, if the first registration was taken and its answer lost. */
static void test_answer_lost_in_dispute(void **state)
{
        Fixture *f = *state;

        fixture_start(f);
        restart(f);
        refuse(asked("POST", REGISTER), 409, "token-missing", 100);
        answer(asked("GET", "/v1/status"), 500, "");
        assert_non_null(strstr(world_status(), "it does not tell its status"));
        world_advance(USEC_PER_SEC);
        answer(asked("POST", REGISTER), -ETIMEDOUT, NULL);
        world_advance(5 * USEC_PER_SEC);
        refuse(asked("POST", REGISTER), 409, "id-alive", 100);
        asked("GET", "/v1/status"); /* asks for the lease again, and does not become new */
        assert_false(sd_id128_is_null(f->receiver->info.id));
}

/* Addresses. */

static void test_wrong_configuration(void **state)
{
        static char *const texts[] = {"tcp:nowhere", "no address"};
        Fixture *f = *state;

        free(f->config.name);
        f->config.name = strdup("two words");
        assert_int_equal(fixture_new(f), -EINVAL);
        assert_non_null(strstr(f->error.text, "is not a valid name"));
        assert_int_equal(str_replace(&f->config.name, NULL), 0);
        assert_int_equal(str_replace(&f->config.group, "a group"), 0);
        assert_int_equal(fixture_new(f), -EINVAL);
        assert_non_null(strstr(f->error.text, "Group="));
        assert_int_equal(str_replace(&f->config.group, "g"), 0);
        assert_int_equal(strv_append(&f->config.labels, "no-value"), 0);
        assert_int_equal(fixture_new(f), -EINVAL);
        for (unsigned i = 0; i < LABELS_MAX; i++)
                assert_int_equal(strv_append(&f->config.labels, "a=b"), 0);
        assert_int_equal(fixture_new(f), -EINVAL);
        assert_non_null(strstr(f->error.text, "at most 16 labels"));
        f->config.labels = strv_free(f->config.labels);
        assert_int_equal(strv_append(&f->config.advertise, texts[1]), 0);
        assert_int_equal(fixture_new(f), -EINVAL);
        for (unsigned i = 0; i < ADDRESSES_MAX; i++)
                assert_int_equal(strv_append(&f->config.advertise, "tcp:a:1"), 0);
        assert_int_equal(fixture_new(f), -EINVAL);
        assert_non_null(strstr(f->error.text, "at most 8 addresses"));
        f->config.advertise = strv_free(f->config.advertise);
        assert_int_equal(str_replace(&f->config.discovery, "nowhere"), 0);
        assert_true(fixture_new(f) < 0);
        assert_int_equal(str_replace(&f->config.discovery, "unix:/d.sock"), 0);
        assert_int_equal(strv_append(&f->config.listen, RECEIVER_ADDRESS), 0);
        assert_int_equal(fixture_new(f), -EADDRINUSE);
}

/* Without Listen= and Discovery=: both are in the runtime directory. */
static void test_defaults(void **state)
{
        Fixture *f = *state;

        setenv("RUNTIME_DIRECTORY", "/runtime", true);
        f->config.listen = strv_free(f->config.listen);
        assert_int_equal(str_replace(&f->config.discovery, NULL), 0);
        assert_int_equal(str_replace(&f->config.instance, NULL), 0);
        assert_int_equal(str_replace(&f->config.name, NULL), 0);
        assert_int_equal(fixture_new(f), 0);
        const TestRequest *q = asked("POST", REGISTER);
        assert_non_null(strstr(q->server, "/runtime/discovery.sock"));
        assert_non_null(strstr(q->body, "unix:/runtime/receiver/default.sock"));
        unsetenv("RUNTIME_DIRECTORY");
}

static void test_warden_dies(void **state)
{
        Fixture *f = *state;
        int code = -1;

        fixture_start(f);
        warden_die();
        world_settle();
        assert_true(world_has_exited(f->receiver->loop, &code));
        assert_int_equal(code, EXIT_FAILURE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
                        TEST(test_first_start),
                        TEST(test_second_start),
                        TEST(test_unreachable),
                        TEST(test_forgotten),
                        TEST(test_capacity_changes),
                        TEST(test_capacity_changes_while_identity_is_written),
                        TEST(test_identity_is_synced_first),
                        TEST(test_first_answer_is_lost),
                        TEST(test_id_cannot_be_written),
                        TEST(test_identity_cannot_be_written),
                        TEST(test_reset_fails),
                        TEST(test_dispute_ends),
                        TEST(test_become_new),
                        TEST(test_answer_lost_in_dispute),
                        TEST(test_wrong_configuration),
                        TEST(test_defaults),
                        TEST(test_warden_dies),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
