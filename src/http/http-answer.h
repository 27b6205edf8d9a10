/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What an HttpAnswer of http/http-server.h is; for that file alone. */

struct HttpAnswer {
        struct MHD_Response *response;
        unsigned status;
};
