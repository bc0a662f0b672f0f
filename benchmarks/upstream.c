// A model provider that costs almost nothing: one thread, epoll, every reply rendered before the first request.
//
//     upstream PORT [DIALECT,DIALECT…]
//
// It listens on 127.0.0.1 only and answers each request in the dialect whose path it asks at; the events of those dialects that are
// named are padded. A request with "stream": true gets a stream of content events, one each interval; any other POST gets a whole
// reply at once; a GET gets a list of models. `GET /ctl?n=EVENTS&i=INTERVAL_MS&d=FIRST_DELAY_MS` changes the pace of the
// streams that begin (n, d) or go on (i) after it. An interval of 0 means: as fast as the reader reads. Each content event carries
// the mark of wire.h, from which the load generator computes how long the event was under way.
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dialects.h"
#include "wire.h"

enum {
    WHEEL_SLOTS = 8192,      // one slot a millisecond: also the longest interval
    REQUEST_MAX = 64 * 1024, // head and body of one request
    PENDING_MAX = 8192,      // bytes that a full socket made us keep: more than any one piece that is sent
    BATCH = 512,
    PADDINGS = 16,           // lengths of it, from nothing on
};

// ---- Connections ---------------------------------------------------------------------------------------------------------------

// Where a streaming connection waits for its next turn. It is on at most one list, and freed only when it is on none.
enum place { NOWHERE, ON_WHEEL, AMONG_RUNNERS };

struct conn {
    int fd;
    enum place place;
    struct conn *next; // on that list
    bool dead;         // closed; freed when it has left its list
    bool streaming;
    bool blocked;                 // the socket is full: `pending` goes out first
    const struct rendered *reply; // its dialect
    int sent;                     // content events of this stream so far
    int events;                   // content events that it will have
    int input_length;
    int pending_length;
    char pending[PENDING_MAX];
    char input[REQUEST_MAX + 1];
};

static int epoll_fd;
static int events_wanted = 100, interval_ms = 20, first_delay_ms = 0;

static void watch(struct conn *c, int operation, unsigned events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(epoll_fd, operation, c->fd, &event);
}

static void hang_up(struct conn *c) {
    if (c->dead) return;
    c->dead = true;
    c->streaming = false;
    close(c->fd); // leaves epoll by itself
}

static void free_if_done(struct conn *c) {
    if (c->dead && c->place == NOWHERE) free(c);
}

// Sends now, or keeps what the socket does not take. What was kept goes first, so order holds.
static void send_bytes(struct conn *c, const char *bytes, int length) {
    int sent = 0;
    if (c->pending_length == 0) {
        sent = (int)send(c->fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN) {
            hang_up(c);
            return;
        }
        if (sent < 0) sent = 0;
        if (sent == length) return;
        c->blocked = true;
        watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    }
    if (c->pending_length + length - sent > PENDING_MAX) { // cannot be while requests are answered one at a time
        hang_up(c);
        return;
    }
    memcpy(c->pending + c->pending_length, bytes + sent, length - sent);
    c->pending_length += length - sent;
}

static void send_pending(struct conn *c) {
    int sent = (int)send(c->fd, c->pending, c->pending_length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN) {
        hang_up(c);
        return;
    }
    if (sent <= 0) return;
    c->pending_length -= sent;
    memmove(c->pending, c->pending + sent, c->pending_length);
    if (c->pending_length == 0) {
        c->blocked = false;
        watch(c, EPOLL_CTL_MOD, EPOLLIN);
    }
}

// ---- Rendered replies ----------------------------------------------------------------------------------------------------------

struct text {
    int length;
    int mark; // where the mark begins, if there is one
    char bytes[4096];
};

// All that is said in one dialect. Without padding all content events are the first one.
struct rendered {
    const struct dialect *dialect;
    bool padded;
    struct text stream_start, content[PADDINGS], ending, whole;
};

static struct rendered replies[DIALECT_COUNT];
static struct text models;

#define STATUS_LINE "HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 01:00:00 GMT\r\nConnection: keep-alive\r\n"
// The two last fields are nobody's: inference routers look for them before they trust a worker.
#define MODELS \
    "{\"object\":\"list\",\"data\":[{\"id\":\"gpt-4o-mini\",\"object\":\"model\",\"created\":1,\"owned_by\":\"x\"}]," \
    "\"model_path\":\"gpt-4o-mini\",\"model_id\":\"gpt-4o-mini\"}"

static void append(struct text *t, const char *text) {
    t->length += snprintf(t->bytes + t->length, sizeof t->bytes - t->length, "%s", text);
}

static void append_chunk(struct text *t, const char *data) {
    t->length += snprintf(t->bytes + t->length, sizeof t->bytes - t->length, "%zx\r\n%s\r\n", strlen(data), data);
}

static void append_json_reply(struct text *t, const char *headers, const char *body) {
    t->length += snprintf(t->bytes + t->length, sizeof t->bytes - t->length,
                          STATUS_LINE "Content-Type: application/json\r\nContent-Length: %zu\r\n%s\r\n%s", strlen(body), headers, body);
}

static void find_mark(struct text *t) {
    t->mark = (int)((char *)memmem(t->bytes, t->length, MARK, MARK_LENGTH) - t->bytes);
}

static void render_content(struct text *t, const struct dialect *dialect, int noise_length) {
    char noise[PADDINGS + 1] = "", padding[64] = "", event[1024];
    memset(noise, dialect->noise, noise_length);
    if (noise_length) snprintf(padding, sizeof padding, dialect->padding, noise);
    snprintf(event, sizeof event, dialect->content, padding);
    append_chunk(t, event);
    find_mark(t);
}

static void render(struct rendered *reply) {
    const struct dialect *dialect = reply->dialect;
    append(&reply->stream_start, STATUS_LINE "Content-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n");
    append(&reply->stream_start, dialect->reply_headers);
    append(&reply->stream_start, "\r\n");
    append_chunk(&reply->stream_start, dialect->opening);

    for (int i = 0; i < PADDINGS; i++) render_content(&reply->content[i], dialect, reply->padded ? i : 0);

    for (const char *const *event = dialect->ending; *event; event++) append_chunk(&reply->ending, *event);
    append(&reply->ending, "0\r\n\r\n");

    append_json_reply(&reply->whole, dialect->reply_headers, dialect->whole);
    find_mark(&reply->whole);
}

// The dialect that is asked for at this target: the first one's own if it is nobody's.
static const struct rendered *reply_at(const char *target) {
    for (int i = 0; i < DIALECT_COUNT; i++)
        if (strncmp(target, replies[i].dialect->path, strlen(replies[i].dialect->path)) == 0) return &replies[i];
    return replies;
}

static void write_digits(char *place, long long value, int digits) {
    while (digits--) {
        place[digits] = (char)('0' + value % 10);
        value /= 10;
    }
}

// The content event of that number. 7 and 16 have no divisor in common, so all lengths of padding have their turn.
static const struct text *content_of(const struct rendered *reply, int sequence) {
    return &reply->content[sequence * 7 % PADDINGS];
}

static int copy_marked(char *to, const struct text *t, int sequence) {
    memcpy(to, t->bytes, t->length);
    write_digits(to + t->mark + MARK_SEQUENCE, sequence, MARK_SEQUENCE_DIGITS);
    write_digits(to + t->mark + MARK_TIME, now_us(), MARK_TIME_DIGITS);
    return t->length;
}

// ---- Pacing: a wheel of milliseconds, and the runners, which have no pace --------------------------------------------------------

static struct conn *wheel[WHEEL_SLOTS];
static struct conn *runners;

static void put_on_wheel(struct conn *c, long long at_ms) {
    struct conn **slot = &wheel[at_ms % WHEEL_SLOTS];
    c->next = *slot;
    *slot = c;
    c->place = ON_WHEEL;
}

static void put_among_runners(struct conn *c) {
    c->next = runners;
    runners = c;
    c->place = AMONG_RUNNERS;
}

static void begin_stream(struct conn *c, const struct rendered *reply) {
    char out[2 * sizeof(struct text)];
    int length = reply->stream_start.length;
    memcpy(out, reply->stream_start.bytes, length);
    c->streaming = true;
    c->reply = reply;
    c->sent = 0;
    c->events = events_wanted;
    if (first_delay_ms == 0 && c->events > 0) {
        length += copy_marked(out + length, content_of(reply, 0), 0);
        c->sent = 1;
    }
    send_bytes(c, out, length);
    if (c->dead || c->place != NOWHERE) return; // a stream that follows another on a runner's connection runs on
    if (interval_ms > 0) put_on_wheel(c, now_us() / 1000 + (first_delay_ms ? first_delay_ms : interval_ms));
    else put_among_runners(c);
}

static void answer_requests(struct conn *c);

static void send_next(struct conn *c) {
    if (c->sent < c->events) {
        char out[sizeof(struct text)];
        send_bytes(c, out, copy_marked(out, content_of(c->reply, c->sent), c->sent));
        c->sent++;
        return;
    }
    c->streaming = false;
    send_bytes(c, c->reply->ending.bytes, c->reply->ending.length);
    answer_requests(c); // one may have come meanwhile
}

// Every millisecond that has passed gets its turn, so a late wake-up sends late but loses nothing, and no stream drifts.
static void turn_wheel(long long *turned_to_ms, long long now_ms) {
    while (*turned_to_ms < now_ms) {
        long long ms = ++*turned_to_ms;
        struct conn *c = wheel[ms % WHEEL_SLOTS], *next;
        wheel[ms % WHEEL_SLOTS] = NULL;
        for (; c; c = next) {
            next = c->next;
            c->place = NOWHERE;
            bool blocked = c->blocked;
            if (c->streaming && !blocked) send_next(c);
            // Unless the stream has ended, or its successor on this connection has found its own place:
            if (c->streaming && c->place == NOWHERE) put_on_wheel(c, ms + (blocked || interval_ms < 1 ? 1 : interval_ms));
            free_if_done(c);
        }
    }
}

static bool a_runner_can_run(void) {
    for (struct conn *c = runners; c; c = c->next)
        if (!c->blocked) return true;
    return false;
}

// One event each, then back to the sockets.
static void step_runners(void) {
    struct conn **link = &runners;
    while (*link) {
        struct conn *c = *link;
        if (c->streaming && !c->blocked) send_next(c);
        if (c->streaming) {
            link = &c->next;
            continue;
        }
        *link = c->next;
        c->place = NOWHERE;
        free_if_done(c);
    }
}

// ---- Requests ------------------------------------------------------------------------------------------------------------------

struct request {
    bool is_get, wants_stream;
    char target[256];
};

// Takes one complete request from the input. False: there is none yet.
static bool take_request(struct conn *c, struct request *request) {
    char *input = c->input;
    input[c->input_length] = 0;
    char *head_end = strstr(input, "\r\n\r\n");
    if (!head_end) return false;
    char *body = head_end + 4, *end = body;

    head_end[2] = 0; // so that the headers are not looked for in the body
    char *length = strcasestr(input, "\r\ncontent-length:");
    char *chunked = strcasestr(input, "\r\ntransfer-encoding:");
    head_end[2] = '\r';
    if (length) {
        end = body + atoi(length + strlen("\r\ncontent-length:"));
        if (end > input + c->input_length) return false;
    } else if (chunked) {
        const char *last = "\r\n0\r\n\r\n"; // may begin with the head's own end of line
        char *at = strstr(body - 2, last);
        if (!at) return false;
        end = at + strlen(last);
    }

    char following = *end;
    *end = 0;
    request->is_get = strncmp(input, "GET ", 4) == 0;
    request->wants_stream = strstr(body, "\"stream\":true") || strstr(body, "\"stream\": true");
    if (sscanf(input, "%*s %255s", request->target) != 1) request->target[0] = 0;
    *end = following;
    c->input_length -= (int)(end - input);
    memmove(input, end, c->input_length);
    return true;
}

static void set_pace(const char *query) {
    int value;
    for (; query; query = strpbrk(query, "?&")) {
        query++;
        if (sscanf(query, "n=%d", &value) == 1) events_wanted = value;
        else if (sscanf(query, "i=%d", &value) == 1) interval_ms = value < WHEEL_SLOTS ? value : WHEEL_SLOTS - 1;
        else if (sscanf(query, "d=%d", &value) == 1) first_delay_ms = value < WHEEL_SLOTS ? value : WHEEL_SLOTS - 1;
    }
}

// Requests are answered one at a time: while a stream is under way the next one stays in the input.
static void answer_requests(struct conn *c) {
    struct request request;
    while (!c->streaming && !c->dead && c->input_length && take_request(c, &request)) {
        if (request.is_get) {
            if (strncmp(request.target, "/ctl", 4) == 0) set_pace(strchr(request.target, '?'));
            send_bytes(c, models.bytes, models.length);
        } else if (request.wants_stream) {
            begin_stream(c, reply_at(request.target));
        } else {
            char out[sizeof(struct text)];
            send_bytes(c, out, copy_marked(out, &reply_at(request.target)->whole, 0));
        }
    }
}

static void receive(struct conn *c) {
    int got = (int)recv(c->fd, c->input + c->input_length, REQUEST_MAX - c->input_length, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN)) { // the client left, or sends more than REQUEST_MAX
        hang_up(c);
        return;
    }
    if (got < 0) return;
    c->input_length += got;
    answer_requests(c);
}

// ---- The loop ------------------------------------------------------------------------------------------------------------------

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096)) {
        perror("upstream: cannot listen");
        exit(1);
    }
    return fd;
}

static void accept_all(int listener) {
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct conn *c = malloc(sizeof *c); // not calloc: only the pages in use should cost
        if (!c) abort();
        memset(c, 0, offsetof(struct conn, pending));
        c->fd = fd;
        watch(c, EPOLL_CTL_ADD, EPOLLIN);
    }
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: upstream PORT [DIALECT,DIALECT…]\n");
        return 2;
    }
    for (int i = 0; i < DIALECT_COUNT; i++) {
        replies[i].dialect = DIALECTS[i];
        replies[i].padded = argc > 2 && strstr(argv[2], DIALECTS[i]->name);
        render(&replies[i]);
    }
    append_json_reply(&models, "", MODELS);
    signal(SIGPIPE, SIG_IGN);

    int listener = listen_on(atoi(argv[1]));
    epoll_fd = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, ready[BATCH];
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);

    long long turned_to_ms = now_us() / 1000;
    for (;;) {
        int count = epoll_wait(epoll_fd, ready, BATCH, a_runner_can_run() ? 0 : 1);
        for (int i = 0; i < count; i++) {
            struct conn *c = ready[i].data.ptr;
            if (!c) {
                accept_all(listener);
                continue;
            }
            if ((ready[i].events & EPOLLOUT) && c->pending_length) send_pending(c);
            if (!c->dead && (ready[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) receive(c);
            free_if_done(c);
        }
        turn_wheel(&turned_to_ms, now_us() / 1000);
        step_runners();
    }
}
