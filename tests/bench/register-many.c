/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* register-many PORT FIRST COUNT [GROUP [ADDRESS]]: registers the receivers bench-FIRST … at a discovery on
 * 127.0.0.1, many requests at once on one connection, and prints a line "ID TOKEN NAME" for each. Without
 * ADDRESS each has one of its own, where nobody listens. */

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"

#define AT_ONCE   64u
#define INSTANCE  "11111111-1111-4111-8111-111111111111"
#define FIELD_MAX 64u

static void fail(const char *what)
{
        perror(what);
        exit(EXIT_FAILURE);
}

static int connect_to(uint16_t port)
{
        struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (fd < 0 || connect(fd, (struct sockaddr *) &sa, sizeof sa) < 0)
                fail("connect");
        return fd;
}

static void add_request(Buffer *b, uint64_t i, const char *group, const char *address)
{
        char own[64], body[512], text[768];

        (void) snprintf(own, sizeof own, "unix:/run/ackgroup/receiver/%" PRIu64 ".sock", i);
        int size = snprintf(body, sizeof body,
                        "{\"instance\":\"" INSTANCE "\",\"name\":\"bench-%" PRIu64 "\",\"group\":\"%s\","
                        "\"addresses\":[\"%s\"],\"capacity\":4}",
                        i, group, address ?: own);
        int n = snprintf(text, sizeof text,
                        "POST /v1/receivers HTTP/1.1\r\nHost: localhost\r\n"
                        "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                        size, body);

        if (buffer_append(b, text, (size_t) n) < 0)
                fail("memory");
}

static void send_all(int fd, Buffer *b)
{
        while (buffer_size(b) > 0) {
                ssize_t n = write(fd, buffer_peek(b), buffer_size(b));

                if (n < 0)
                        fail("write");
                buffer_consume(b, (size_t) n);
        }
}

/* A string field of the answer. */
static void field(const char *answer, const char *name, char ret[static FIELD_MAX])
{
        const char *at = strstr(answer, name);
        size_t n = at ? strcspn(at + strlen(name), "\"") : 0;

        if (n == 0 || n >= FIELD_MAX) {
                (void) fprintf(stderr, "unexpected answer: %s\n", answer);
                exit(EXIT_FAILURE);
        }
        memcpy(ret, at + strlen(name), n);
        ret[n] = '\0';
}

/* One answer off the front, or false when it is not all there. */
static bool take_answer(Buffer *b, uint64_t i)
{
        char *text = (char *) (uintptr_t) buffer_peek(b), id[FIELD_MAX], token[FIELD_MAX];
        char *body = buffer_size(b) > 0 ? memmem(text, buffer_size(b), "\r\n\r\n", 4) : NULL;

        if (!body)
                return false;
        *body = '\0', body += 4;
        const char *length = strcasestr(text, "Content-Length: ");
        size_t size = length ? strtoul(length + strlen("Content-Length: "), NULL, 10) : 0;
        if (buffer_size(b) < (size_t) (body - text) + size) {
                body[-4] = '\r';
                return false;
        }
        char *answer = strndup(body, size);
        if (!answer)
                fail("memory");
        field(answer, "\"id\":\"", id);
        field(answer, "\"token\":\"", token);
        (void) printf("%s %s bench-%" PRIu64 "\n", id, token, i);
        free(answer);
        buffer_consume(b, (size_t) (body - text) + size);
        return true;
}

int main(int argc, char **argv)
{
        Buffer out = {}, in = {};

        if (argc < 4 || argc > 6) {
                (void) fprintf(stderr, "Usage: register-many PORT FIRST COUNT [GROUP [ADDRESS]]\n");
                return EXIT_FAILURE;
        }
        int fd = connect_to((uint16_t) strtoul(argv[1], NULL, 10));
        uint64_t first = strtoull(argv[2], NULL, 10), end = first + strtoull(argv[3], NULL, 10);
        uint64_t asked = first;
        for (uint64_t done = first; done < end;) {
                while (asked < end && asked - done < AT_ONCE)
                        add_request(&out, asked++, argc > 4 ? argv[4] : "default",
                                        argc > 5 ? argv[5] : NULL);
                send_all(fd, &out);
                while (done < asked && take_answer(&in, done))
                        done++;
                if (done == asked)
                        continue;
                uint8_t *room = buffer_reserve(&in, 65536);
                ssize_t n = room ? read(fd, room, 65536) : -1;
                if (n <= 0)
                        fail("read");
                buffer_added(&in, (size_t) n);
        }
        buffer_clear(&in);
        buffer_clear(&out);
        (void) close(fd);
        return EXIT_SUCCESS;
}
