// What the load generator has counted, and its one line of JSON.
#ifndef FIGURES_H
#define FIGURES_H

#include <stdbool.h>

#include "processes.h"

enum { BUCKET_US = 5, BUCKETS = 400000 }; // up to 2 s; what is slower counts as 2 s

struct histogram {
    long count;
    double sum_us;
    unsigned buckets[BUCKETS];
};

extern struct histogram latency, first_event, round_trip;

void record(struct histogram *h, long long us);

extern struct totals {
    long events, reads_with_events, bytes, out_of_order;
    long requests_started, ok, bad, net_errors;
    int statuses[1000];
    char bad_sample[512];
} total;

// The part of a run in which CPU, events and requests are also counted by themselves; it has none if `from_s` is negative.
struct window {
    double from_s, to_s;
};

// To be called often; `is_over`: now or never.
void watch_window(const struct window *window, const struct processes *measured, double at_s, bool is_over);

void print_report(double elapsed_s, int unfinished);

#endif
