// The clients: one thread, epoll, many keep-alive connections to one port of 127.0.0.1. One line of JSON on standard output.
//
//     loadgen --port PORT --connections N --mode stream|whole --events EVENTS_PER_STREAM --seconds S
//             [--requests AT_MOST] [--ramp S] [--window FROM,TO] [--pids PID,PID…]
//             [--path PATH] [--model MODEL] [--header "NAME: VALUE"]… [--no-keep-alive] [--think MS]
//
// Every connection is a closed loop: the next request follows the reply, until S seconds have passed or AT_MOST requests have
// begun; what is open then is read to its end. A reply is ok only if it is complete: status 200, every event there and in order,
// the dialect's terminator at the end. CPU, events and requests are also counted inside the window alone, so that opening and
// closing streams can be left out of the cost of an event. --pids names the processes whose CPU time and memory are read.
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "openai_chat.h"
#include "processes.h"
#include "wire.h"

enum {
    READ_MAX = 256 * 1024,
    HEAD_MAX = 16 * 1024,
    TAIL_MAX = 500, // the end of a stream, in which the terminator must be
    BATCH = 512,
    RETRY_US = 2000,             // after a connection was refused or closed before it answered
    GRACE_US = 20 * 1000 * 1000, // for open streams to end after the last request
};

// ---- Options -------------------------------------------------------------------------------------------------------------------

static struct {
    int port, connections, events;
    bool stream, keep_alive;
    double seconds, ramp_s, window_from_s, window_to_s, think_ms;
    long requests; // -1: no limit
    const char *path, *model;
    char headers[4096];
    struct processes measured;
} option = {.port = 9000, .connections = 10, .events = 100, .stream = true, .keep_alive = true, .seconds = 5,
            .window_from_s = -1, .window_to_s = -1, .requests = -1, .model = "gpt-4o-mini"};

static void read_options(int argc, char **argv) {
    static const struct option names[] = {
        {"port", required_argument, NULL, 'p'},      {"connections", required_argument, NULL, 'c'},
        {"mode", required_argument, NULL, 'm'},      {"events", required_argument, NULL, 'n'},
        {"seconds", required_argument, NULL, 'd'},   {"requests", required_argument, NULL, 'R'},
        {"ramp", required_argument, NULL, 'r'},      {"window", required_argument, NULL, 'w'},
        {"pids", required_argument, NULL, 'P'},      {"path", required_argument, NULL, 'u'},
        {"model", required_argument, NULL, 'M'},     {"header", required_argument, NULL, 'H'},
        {"no-keep-alive", no_argument, NULL, 'k'},   {"think", required_argument, NULL, 't'},
        {NULL, 0, NULL, 0},
    };
    int letter;
    while ((letter = getopt_long(argc, argv, "", names, NULL)) != -1) switch (letter) {
        case 'p': option.port = atoi(optarg); break;
        case 'c': option.connections = atoi(optarg); break;
        case 'm': option.stream = strcmp(optarg, "stream") == 0; break;
        case 'n': option.events = atoi(optarg); break;
        case 'd': option.seconds = atof(optarg); break;
        case 'R': option.requests = atol(optarg); break;
        case 'r': option.ramp_s = atof(optarg); break;
        case 'w': sscanf(optarg, "%lf,%lf", &option.window_from_s, &option.window_to_s); break;
        case 'P': add_processes(&option.measured, optarg); break;
        case 'u': option.path = optarg; break;
        case 'M': option.model = optarg; break;
        case 'H':
            if (strlen(option.headers) + strlen(optarg) + 3 < sizeof option.headers) strcat(strcat(option.headers, optarg), "\r\n");
            break;
        case 'k': option.keep_alive = false; break;
        case 't': option.think_ms = atof(optarg); break;
        default: exit(2);
        }
}

// ---- Figures -------------------------------------------------------------------------------------------------------------------

enum { BUCKET_US = 5, BUCKETS = 400000 }; // up to 2 s; what is slower counts as 2 s

struct histogram {
    long count;
    double sum_us;
    unsigned buckets[BUCKETS];
};

static struct histogram latency, first_event, round_trip;

static void record(struct histogram *h, long long us) {
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

static struct {
    long events, reads_with_events, bytes, out_of_order;
    long requests_started, ok, bad, net_errors;
    int statuses[1000];
    char bad_sample[512];
} total;

// The counters at one edge of the window.
struct edge {
    bool taken;
    double at_s, cpu_us, cpu_ticks_us;
    long events, requests;
};

static struct edge window_from, window_to;
static long rss_kb, pss_kb;

static void take_edge(struct edge *edge, double at_s) {
    *edge = (struct edge){.taken = true,
                          .at_s = at_s,
                          .cpu_us = cpu_us(&option.measured),
                          .cpu_ticks_us = cpu_ticks_us(&option.measured),
                          .events = total.events,
                          .requests = total.ok + total.bad};
}

static void watch_window(double at_s, bool is_over) {
    if (option.window_from_s < 0) return;
    if (!window_from.taken && at_s >= option.window_from_s) take_edge(&window_from, at_s);
    if (!window_to.taken && (is_over || at_s >= option.window_to_s)) {
        take_edge(&window_to, at_s);
        memory_kb(&option.measured, &rss_kb, &pss_kb);
    }
}

// ---- Connections ---------------------------------------------------------------------------------------------------------------

enum framing { HEAD, CHUNK_SIZE, CHUNK_EXTENSION, CHUNK_DATA, CHUNK_END, LAST_LINE, BY_LENGTH, UNTIL_CLOSE };

struct conn {
    int fd; // -1: closed
    bool active, request_sent, close_after;
    long long started_us, next_start_us;
    // The reply so far.
    enum framing framing;
    int status;
    long long remaining; // of the body or of the chunk
    int head_length, events, next_sequence, out_of_order;
    int carry_length, tail_length;
    char carry[MARK_LENGTH]; // a mark that a read has cut
    char tail[TAIL_MAX + 1];
    char head[HEAD_MAX + 1];
};

static int epoll_fd;
static char request[8192];
static int request_length;

static void watch(struct conn *c, int operation, unsigned events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(epoll_fd, operation, c->fd, &event);
}

static void render_request(const struct dialect *dialect) {
    char body[4096];
    int length = snprintf(body, sizeof body, option.stream ? dialect->stream_request : dialect->whole_request, option.model);
    request_length = snprintf(request, sizeof request,
                              "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: OpenAI/Python 3.51.0\r\nAccept: application/json\r\n"
                              "Content-Type: application/json\r\nAuthorization: Bearer sk-test-1234567890abcdef\r\n%s"
                              "Content-Length: %d\r\n\r\n%s",
                              option.path ? option.path : dialect->path, option.port, option.headers, length, body);
}

static void open_connection(struct conn *c) {
    int on = 1;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(option.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0) {
        perror("loadgen: cannot open a socket");
        exit(1);
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)!connect(c->fd, (struct sockaddr *)&address, sizeof address); // how it went shows when we send
    watch(c, EPOLL_CTL_ADD, EPOLLIN);
}

static void close_connection(struct conn *c) {
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
}

// Nothing of a reply came: the connection was refused, or closed while it was idle.
static void give_up_unanswered(struct conn *c) {
    total.net_errors++;
    total.requests_started--;
    c->active = false;
    c->next_start_us = now_us() + RETRY_US;
    close_connection(c);
}

// False: not yet, the connection is being made.
static void send_request(struct conn *c) {
    if (send(c->fd, request, request_length, MSG_NOSIGNAL) >= 0) c->request_sent = true;
    else if (errno == EAGAIN || errno == ENOTCONN || errno == EINPROGRESS) watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    else give_up_unanswered(c);
}

static void start_request(struct conn *c) {
    if (c->fd < 0) open_connection(c);
    c->active = true;
    c->request_sent = c->close_after = false;
    c->framing = HEAD;
    c->status = c->head_length = c->events = c->next_sequence = c->out_of_order = c->carry_length = c->tail_length = 0;
    c->started_us = now_us();
    total.requests_started++;
    send_request(c);
}

static bool is_whole(struct conn *c, const struct dialect *dialect) {
    if (c->status != 200) return false;
    if (!option.stream) return c->events == 1;
    c->tail[c->tail_length] = 0;
    return c->events == option.events && c->out_of_order == 0 && strstr(c->tail, dialect->terminator);
}

static void end_request(struct conn *c, bool ended_by_itself) {
    long long now = now_us();
    c->active = false;
    c->tail[c->tail_length] = 0;
    total.out_of_order += c->out_of_order;
    if (c->status >= 0 && c->status < 1000) total.statuses[c->status]++;
    if (ended_by_itself && is_whole(c, &OPENAI_CHAT)) {
        total.ok++;
    } else {
        total.bad++;
        if (!total.bad_sample[0])
            snprintf(total.bad_sample, sizeof total.bad_sample, "status=%d events=%d out_of_order=%d tail=%.300s", c->status, c->events,
                     c->out_of_order, c->tail);
    }
    record(&round_trip, now - c->started_us);
    if (!option.keep_alive || c->close_after || !ended_by_itself) close_connection(c);
    c->next_start_us = now + (long long)(option.think_ms * 1000);
}

// ---- Replies -------------------------------------------------------------------------------------------------------------------

static long long digits(const char *text, int count) {
    long long value = 0;
    while (count--) value = value * 10 + (*text++ - '0');
    return value;
}

static void take_mark(struct conn *c, const char *mark, long long now) {
    if (option.stream) {
        int sequence = (int)digits(mark + MARK_SEQUENCE, MARK_SEQUENCE_DIGITS);
        if (sequence != c->next_sequence) c->out_of_order++;
        c->next_sequence = sequence + 1;
    }
    record(&latency, now - digits(mark + MARK_TIME, MARK_TIME_DIGITS));
    if (c->events++ == 0) record(&first_event, now - c->started_us);
    total.events++;
}

// Finds the marks wherever they are, also across reads: what encloses them is the gateway's business.
static void scan_body(struct conn *c, const char *bytes, int length, long long now) {
    static char text[READ_MAX + MARK_LENGTH];
    memcpy(text, c->carry, c->carry_length);
    memcpy(text + c->carry_length, bytes, length);
    const char *at = text, *end = text + c->carry_length + length;
    int events_before = c->events;
    c->carry_length = 0;
    while ((at = memchr(at, '@', end - at))) {
        if (end - at >= 2 && at[1] != '@') {
            at++;
        } else if (end - at < MARK_LENGTH) {
            c->carry_length = (int)(end - at);
            memcpy(c->carry, at, c->carry_length);
            break;
        } else if (at[MARK_COLON] != ':') {
            at++;
        } else {
            take_mark(c, at, now);
            at += MARK_LENGTH;
        }
    }
    if (c->events > events_before) total.reads_with_events++;
}

static void keep_tail(struct conn *c, const char *bytes, int length) {
    if (length >= TAIL_MAX) {
        bytes += length - TAIL_MAX;
        length = TAIL_MAX;
    }
    int kept = c->tail_length + length > TAIL_MAX ? TAIL_MAX - length : c->tail_length;
    memmove(c->tail, c->tail + c->tail_length - kept, kept);
    memcpy(c->tail + kept, bytes, length);
    c->tail_length = kept + length;
}

static void take_body(struct conn *c, const char *bytes, int length, long long now) {
    if (!length) return;
    scan_body(c, bytes, length, now);
    keep_tail(c, bytes, length);
}

// Returns how many of the bytes belong to the head; the framing tells whether it is complete.
static int take_head(struct conn *c, const char *bytes, int length) {
    int before = c->head_length, room = HEAD_MAX - before;
    if (length > room) length = room;
    memcpy(c->head + before, bytes, length);
    c->head_length += length;
    c->head[c->head_length] = 0;
    char *end = strstr(c->head, "\r\n\r\n");
    if (!end) return length;
    end[2] = 0;
    c->status = c->head_length > 9 ? atoi(c->head + 9) : 0;
    c->close_after = strcasestr(c->head, "\r\nconnection: close");
    const char *content_length = strcasestr(c->head, "\r\ncontent-length:");
    if (strcasestr(c->head, "\r\ntransfer-encoding: chunked")) {
        c->framing = CHUNK_SIZE;
        c->remaining = 0;
    } else if (content_length) {
        c->framing = BY_LENGTH;
        c->remaining = atoll(content_length + strlen("\r\ncontent-length:"));
    } else {
        c->framing = UNTIL_CLOSE;
    }
    return (int)(end + 4 - c->head) - before;
}

static int hex_value(char digit) {
    if (digit >= '0' && digit <= '9') return digit - '0';
    digit |= 32;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

// One read becomes one piece of body, however many chunks it holds. True: the reply is complete.
static bool take_chunks(struct conn *c, const char *at, const char *end, long long now) {
    static char body[READ_MAX];
    int length = 0;
    bool complete = false;
    while (at < end && !complete) {
        if (c->framing == CHUNK_DATA) {
            long long piece = end - at < c->remaining ? end - at : c->remaining;
            memcpy(body + length, at, piece);
            length += (int)piece;
            at += piece;
            c->remaining -= piece;
            if (c->remaining == 0) c->framing = CHUNK_END;
            continue;
        }
        char byte = *at++;
        bool line_ends = byte == '\n';
        switch (c->framing) {
        case CHUNK_SIZE:
            if (hex_value(byte) >= 0) c->remaining = c->remaining * 16 + hex_value(byte);
            if (byte == ';') c->framing = CHUNK_EXTENSION;
            // fall through
        case CHUNK_EXTENSION:
            if (line_ends) c->framing = c->remaining ? CHUNK_DATA : LAST_LINE;
            break;
        case CHUNK_END:
            if (line_ends) c->framing = CHUNK_SIZE;
            break;
        default: // LAST_LINE: trailers are not expected
            complete = line_ends;
        }
    }
    take_body(c, body, length, now);
    return complete;
}

// True: the reply is complete.
static bool take_bytes(struct conn *c, const char *bytes, int length, long long now) {
    const char *end = bytes + length;
    if (c->framing == HEAD) {
        bytes += take_head(c, bytes, length);
        if (c->framing == HEAD) return false;
    }
    if (c->framing != BY_LENGTH && c->framing != UNTIL_CLOSE) return take_chunks(c, bytes, end, now);
    take_body(c, bytes, (int)(end - bytes), now);
    if (c->framing == UNTIL_CLOSE) return false;
    c->remaining -= end - bytes;
    return c->remaining <= 0;
}

static void take_close(struct conn *c) {
    if (!c->active) {
        close_connection(c);
    } else if (c->framing == UNTIL_CLOSE) {
        c->close_after = true;
        end_request(c, true);
    } else if (c->head_length == 0) {
        give_up_unanswered(c);
    } else {
        end_request(c, false);
    }
}

static void receive(struct conn *c, long long now) {
    static char bytes[READ_MAX];
    int got = (int)recv(c->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got > 0) {
        total.bytes += got;
        if (c->active && take_bytes(c, bytes, got, now)) end_request(c, true);
    } else if (got == 0 || errno != EAGAIN) {
        take_close(c);
    }
}

// ---- The loop ------------------------------------------------------------------------------------------------------------------

// Starts what is due. False: nothing is open and nothing will be.
static bool start_due_requests(struct conn *connections, bool closing, long long now, bool *some_wait) {
    bool some_active = false;
    *some_wait = false;
    for (struct conn *c = connections; c < connections + option.connections; c++) {
        if (!c->active && !closing && (option.requests < 0 || total.requests_started < option.requests)) {
            if (now >= c->next_start_us) start_request(c);
            if (!c->active) *some_wait = true;
        }
        if (c->active) some_active = true;
    }
    return some_active || *some_wait;
}

static void serve_socket(struct conn *c, unsigned events, long long now) {
    if (c->fd < 0) return;
    if (events & EPOLLOUT) {
        watch(c, EPOLL_CTL_MOD, EPOLLIN);
        if (c->active && !c->request_sent) send_request(c);
    }
    if (c->fd >= 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR))) receive(c, now);
}

static void print_report(double elapsed_s, int unfinished) {
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

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    read_options(argc, argv);
    render_request(&OPENAI_CHAT);
    epoll_fd = epoll_create1(0);
    struct conn *connections = calloc(option.connections, sizeof *connections);
    if (!connections) abort();

    long long began = now_us(), last_start = began + (long long)(option.seconds * 1e6);
    for (int i = 0; i < option.connections; i++) {
        connections[i].fd = -1;
        connections[i].next_start_us = began + (long long)(option.ramp_s * 1e6 * i / option.connections);
    }

    struct epoll_event ready[BATCH];
    for (;;) {
        long long now = now_us();
        bool some_wait;
        watch_window((double)(now - began) / 1e6, false);
        if (!start_due_requests(connections, now >= last_start, now, &some_wait) || now > last_start + GRACE_US) break;
        // A millisecond when something is due soon, be it a request or the window's edge.
        int count = epoll_wait(epoll_fd, ready, BATCH, some_wait || option.window_from_s >= 0 ? 1 : 100);
        now = now_us(); // when these bytes were there: the time that we take over them is not the gateway's
        for (int i = 0; i < count; i++) serve_socket(ready[i].data.ptr, ready[i].events, now);
    }

    double elapsed_s = (double)(now_us() - began) / 1e6;
    watch_window(elapsed_s, true);
    int unfinished = 0;
    for (int i = 0; i < option.connections; i++) unfinished += connections[i].active;
    print_report(elapsed_s, unfinished);
    return 0;
}
