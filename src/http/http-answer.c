/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "http/http-answer.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "http/http-server.h"

/* A body of at least this size becomes a file in memory, which sendfile() sends without copying it. */
#define FILE_MIN ((size_t) 128 << 10)

static struct MHD_Response *response_from_file(const void *body, size_t size)
{
        _cleanup_close_ int fd = memfd_create("http-answer", MFD_CLOEXEC);

        for (size_t done = 0; fd >= 0 && done < size;) {
                ssize_t n = write(fd, (const char *) body + done, size - done);

                if (n <= 0)
                        return NULL;
                done += (size_t) n;
        }
        if (fd < 0)
                return NULL;
        struct MHD_Response *response = MHD_create_response_from_fd(size, fd);
        if (response)
                (void) TAKE_FD(fd);
        return response;
}

HttpAnswer *http_answer_new(unsigned status, const void *body, size_t size)
{
        HttpAnswer *a = calloc(1, sizeof *a);

        if (!a)
                return NULL;
        a->status = status;
        if (size >= FILE_MIN)
                a->response = response_from_file(body, size);
        if (!a->response)
                a->response = MHD_create_response_from_buffer(
                                size, (void *) (uintptr_t) body, MHD_RESPMEM_MUST_COPY);
        if (!a->response || (size > 0 && http_answer_add_header(a, "Content-Type", "application/json") < 0))
                return http_answer_free(a);
        return a;
}

int http_answer_add_header(HttpAnswer *a, const char *name, const char *value)
{
        return MHD_add_response_header(a->response, name, value) == MHD_YES ? 0 : -ENOMEM;
}

HttpAnswer *http_answer_free(HttpAnswer *a)
{
        if (!a)
                return NULL;
        if (a->response)
                MHD_destroy_response(a->response);
        free(a);
        return NULL;
}
