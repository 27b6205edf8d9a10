/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "sim/describe.h"

#define MESSAGE_NAME_MAX 40
/* "message 17", or the end of its id. */
const char *describer_name(const Describer *d, sd_id128_t id, char ret[static MESSAGE_NAME_MAX]);
/* "acked, of message 17 (attempt 1, sequence 3 of stream …4f)" */
void describe_frame(const Describer *d, const Frame *f, char *ret, size_t size);
/* The message and the stream that a frame is about; null ids where there is none. */
void frame_subject(const Frame *f, sd_id128_t *ret_message, sd_id128_t *ret_stream);
