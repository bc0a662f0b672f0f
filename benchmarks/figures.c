#include <stdio.h>
#include <string.h>

#include "figures.h"

struct histogram latency, first_event, round_trip;
struct totals total;

void record(struct histogram *h, long long us) {
    if (us < 0) us = 0;
    h->count++;
    h->sum_us += (double)us;
    h->buckets[us / BUCKET_US < BUCKETS ? us / BUCKET_US : BUCKETS - 1]++;
}

static double percentile_us(const struct histogram *h, double share) {
    long rank = (long)(share * (double)h->count), seen = 0;
    if (rank >= h->count) rank = h->count - 1;
    for (int i = 0; h->count && i < BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen > rank) return (i + 0.5) * BUCKET_US;
    }
    return -1;
}

// The counters at one edge of the window.
struct edge {
    bool taken;
    double at_s, cpu_us, cpu_ticks_us;
    long events, requests;
};

static struct edge window_from, window_to;
static long rss_kb, pss_kb;

static void take_edge(struct edge *edge, const struct processes *measured, double at_s) {
    *edge = (struct edge){.taken = true,
                          .at_s = at_s,
                          .cpu_us = cpu_us(measured),
                          .cpu_ticks_us = cpu_ticks_us(measured),
                          .events = total.events,
                          .requests = total.ok + total.bad};
}

void watch_window(const struct window *window, const struct processes *measured, double at_s, bool is_over) {
    if (window->from_s < 0) return;
    if (!window_from.taken && at_s >= window->from_s) take_edge(&window_from, measured, at_s);
    if (!window_to.taken && (is_over || at_s >= window->to_s)) {
        take_edge(&window_to, measured, at_s);
        memory_kb(measured, &rss_kb, &pss_kb);
    }
}

void print_report(double elapsed_s, int unfinished) {
    printf("{\"elapsed_s\":%.3f,\"ok\":%ld,\"bad\":%ld,\"net_errors\":%ld,\"unfinished\":%d,\"out_of_order\":%ld,", elapsed_s, total.ok,
           total.bad, total.net_errors, unfinished, total.out_of_order);
    printf("\"events\":%ld,\"bytes\":%ld,\"events_per_read\":%.3f,", total.events, total.bytes,
           total.reads_with_events ? (double)total.events / (double)total.reads_with_events : 0);
    printf("\"ttft_p50_us\":%.1f,\"ttft_p99_us\":%.1f,", percentile_us(&first_event, .5), percentile_us(&first_event, .99));
    printf("\"latency_p50_us\":%.1f,\"latency_p99_us\":%.1f,\"latency_mean_us\":%.1f,", percentile_us(&latency, .5),
           percentile_us(&latency, .99), latency.count ? latency.sum_us / (double)latency.count : -1);
    printf("\"round_trip_p50_us\":%.1f,\"round_trip_p99_us\":%.1f,", percentile_us(&round_trip, .5), percentile_us(&round_trip, .99));
    printf("\"window_s\":%.3f,\"window_cpu_us\":%.0f,\"window_cpu_ticks_us\":%.0f,\"window_events\":%ld,\"window_requests\":%ld,",
           window_to.at_s - window_from.at_s, window_to.cpu_us - window_from.cpu_us, window_to.cpu_ticks_us - window_from.cpu_ticks_us,
           window_to.events - window_from.events, window_to.requests - window_from.requests);
    printf("\"rss_kb\":%ld,\"pss_kb\":%ld,\"statuses\":{", rss_kb, pss_kb);
    const char *comma = "";
    for (int status = 0; status < 1000; status++) {
        if (!total.statuses[status]) continue;
        printf("%s\"%d\":%d", comma, status, total.statuses[status]);
        comma = ",";
    }
    printf("},\"bad_sample\":\"");
    for (const char *at = total.bad_sample; *at; at++)
        if (*at >= 32 && *at < 127 && *at != '"' && *at != '\\') putchar(*at);
    printf("\"}\n");
}
