/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What receivers owe, and times. For the files of the judge. */

#include "sim/judge-inside.h"

/* judge-calm.c: until when steps disturb something */
void calm_step(Judge *j, const Step *s);
void calm_faults_end(Judge *j);

/* judge-duties.c: what a receiver owes */
void duties_run(Judge *j, const JRun *r);
void duties_run_end(Judge *j, JRun *r);
void duties_written(Judge *j, JConnection *c, const Frame *f);
void duties_closed(JConnection *c, int error);
void duties_read(const Judge *j, JDelivery *d, JConnection *c);
void duties_answered(JDelivery *d);
void duties_ended(Judge *j, JProcess *p, bool orderly);
void duties_log(Judge *j, const Observation *o, JProcess *p);
void duties_drain(const Judge *j, JProcess *p, uint64_t usec);
void duties_check_drain(Judge *j, const JRun *r);
void duties_check_new(Judge *j, const JMessage *m, const JDelivery *d, const JConnection *c);

/* judge-waits.c: how long clients wait before they send again */
void waits_opened(JConnection *c);
void waits_sent(Judge *j, const JMessage *m, JDelivery *d, JConnection *c);
void waits_failed(const Judge *j, JDelivery *d);

/* judge-turns.c: what was refused, or waits */
void turns_refused(const Judge *j, JConnection *c);
void turns_taken(JConnection *c);
void turns_credit(Judge *j, JConnection *c, uint32_t credit);
void turns_told_busy(const Judge *j, JMessage *m, JConnection *c);
void turns_told_other(JConnection *c);
void turns_told_credit(const Judge *j, JConnection *c);
void turns_sent(Judge *j, const JMessage *m, const JDelivery *d, JConnection *c);
void turns_run(const Judge *j, JProcess *p);
void turns_run_end(Judge *j, JProcess *p);

/* judge-times.c: starts, deadlines, ack timeouts, leases */
void times_sent(Judge *j, const JMessage *m, const JDelivery *d, const JConnection *c);
void times_log(Judge *j, const Observation *o, const JProcess *p);
bool is_listed(const Judge *j, const JReceiver *r);
void times_news(const Judge *j, JProcess *p); /* a receiver has registered or drains, or a client
                                                      was started */
void times_lost_power(Judge *j, unsigned machine);
void times_stalled(Judge *j); /* until when something stalls has changed */
/* This client knew at this time that discovery lists it; false: perhaps it did not. */
bool is_known(const Judge *j, const JProcess *client, const JReceiver *r, uint64_t at);
