/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "base/str-util.h"
#include "wire/registration-json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A record that was taken is written, read and is the same. */
static void check_record(const char *text, size_t size, bool registration)
{
        ReceiverInfo info = {}, again = {};
        JsonError error = {};
        cJSON *object = NULL;

        if (json_parse(text, size, &object, &error) < 0) {
                if (error.error.text[0] == '\0')
                        abort();
                return;
        }
        if (receiver_json_parse(object, registration, &info, &error) < 0) {
                if (error.error.text[0] == '\0')
                        abort();
        } else {
                _cleanup_free_ char *printed = receiver_json_to_text(&info);
                if (!printed)
                        abort();
                if (!sd_id128_is_null(info.id) && (receiver_json_from_text(printed, &again) < 0 ||
                                                                  !receiver_info_equal(&info, &again)))
                        abort();
        }
        receiver_info_clear(&info);
        receiver_info_clear(&again);
        cJSON_Delete(object);
}

/* Every body that one of the programs reads over HTTP. The parsers get exactly `size` bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const char *text = (const char *) data;
        ReceiverList list = {};
        Registered registered;
        JsonError error = {};
        ApiError api_error;
        uint64_t lease;

        check_record(text, size, true);
        check_record(text, size, false);
        if (receiver_list_parse(text, size, &list, &error) >= 0) {
                if (str_empty(list.revision))
                        abort();
                for (size_t i = 0; i < list.n; i++)
                        if (str_empty(list.infos[i].name) || str_empty(list.infos[i].group))
                                abort();
        }
        receiver_list_clear(&list);
        if (registered_parse(text, size, &registered, &error) >= 0 && registered.lease_usec == 0)
                abort();
        (void) lease_parse(text, size, &lease, &error);
        api_error_parse(text, size, &api_error);
        return 0;
}
