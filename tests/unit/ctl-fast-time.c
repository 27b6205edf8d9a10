/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Waiting is a hundred times as fast (see meson.build). */
#include <systemd/sd-event.h>

int __real_sd_event_add_time_relative(sd_event *e, sd_event_source **ret, clockid_t clock, uint64_t usec,
                uint64_t accuracy, sd_event_time_handler_t callback, void *userdata);
int __wrap_sd_event_add_time_relative(sd_event *e, sd_event_source **ret, clockid_t clock, uint64_t usec,
                uint64_t accuracy, sd_event_time_handler_t callback, void *userdata);
int __real_sd_event_source_set_time_relative(sd_event_source *s, uint64_t usec);
int __wrap_sd_event_source_set_time_relative(sd_event_source *s, uint64_t usec);

int __wrap_sd_event_add_time_relative(sd_event *e, sd_event_source **ret, clockid_t clock, uint64_t usec,
                uint64_t accuracy, sd_event_time_handler_t callback, void *userdata)
{
        return __real_sd_event_add_time_relative(e, ret, clock, usec / 100, 1, callback, userdata);
}

int __wrap_sd_event_source_set_time_relative(sd_event_source *s, uint64_t usec)
{
        return __real_sd_event_source_set_time_relative(s, usec / 100);
}
