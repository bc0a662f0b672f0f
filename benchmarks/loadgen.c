// The clients: one thread, epoll, many keep-alive connections to one port of 127.0.0.1. One line of JSON on standard output.
// reply.c reads what comes back, figures.c counts it.
//
//     loadgen --port PORT --connections N --mode stream|whole --events EVENTS_PER_STREAM --seconds S
//             [--requests AT_MOST] [--ramp S] [--window FROM,TO] [--pids PID,PID…]
//             [--dialect NAME] [--path PATH] [--model MODEL] [--header "NAME: VALUE"]… [--no-keep-alive] [--think MS]
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
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dialects.h"
#include "figures.h"
#include "processes.h"
#include "reply.h"
#include "wire.h"

enum {
    BATCH = 512,
    RETRY_US = 2000,             // after a connection was refused or closed before it answered
    GRACE_US = 20 * 1000 * 1000, // for open streams to end after the last request
};

// ---- Options -------------------------------------------------------------------------------------------------------------------

static struct {
    int port, connections, events;
    bool stream, keep_alive;
    double seconds, ramp_s, think_ms;
    struct window window;
    long requests; // -1: no limit
    const struct dialect *dialect;
    const char *path, *model;
    char headers[4096];
    struct processes measured;
} option = {.port = 9000, .connections = 10, .events = 100, .stream = true, .keep_alive = true, .seconds = 5,
            .window = {-1, -1}, .requests = -1, .dialect = &OPENAI_CHAT, .model = "gpt-4o-mini"};

static const struct dialect *named_dialect(const char *name) {
    const struct dialect *found = dialect_of_name(name);
    if (found) return found;
    fprintf(stderr, "loadgen: no dialect is called %s\n", name);
    exit(2);
}

static void read_options(int argc, char **argv) {
    static const struct option names[] = {
        {"port", required_argument, NULL, 'p'},      {"connections", required_argument, NULL, 'c'},
        {"mode", required_argument, NULL, 'm'},      {"events", required_argument, NULL, 'n'},
        {"seconds", required_argument, NULL, 'd'},   {"requests", required_argument, NULL, 'R'},
        {"ramp", required_argument, NULL, 'r'},      {"window", required_argument, NULL, 'w'},
        {"pids", required_argument, NULL, 'P'},      {"path", required_argument, NULL, 'u'},
        {"model", required_argument, NULL, 'M'},     {"header", required_argument, NULL, 'H'},
        {"no-keep-alive", no_argument, NULL, 'k'},   {"think", required_argument, NULL, 't'},
        {"dialect", required_argument, NULL, 'D'},   {NULL, 0, NULL, 0},
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
        case 'w': sscanf(optarg, "%lf,%lf", &option.window.from_s, &option.window.to_s); break;
        case 'P': add_processes(&option.measured, optarg); break;
        case 'u': option.path = optarg; break;
        case 'M': option.model = optarg; break;
        case 'H':
            if (strlen(option.headers) + strlen(optarg) + 3 < sizeof option.headers) strcat(strcat(option.headers, optarg), "\r\n");
            break;
        case 'k': option.keep_alive = false; break;
        case 'D': option.dialect = named_dialect(optarg); break;
        case 't': option.think_ms = atof(optarg); break;
        default: exit(2);
        }
}

// ---- Connections ---------------------------------------------------------------------------------------------------------------

struct conn {
    int fd; // -1: closed
    bool active, request_sent;
    long long next_start_us;
    struct reply reply;
};

static int epoll_fd;
static char request[8192];
static int request_length;

static void watch(struct conn *c, int operation, unsigned events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(epoll_fd, operation, c->fd, &event);
}

static void render_request(void) {
    const struct dialect *dialect = option.dialect;
    char body[4096];
    int length = snprintf(body, sizeof body, option.stream ? dialect->stream_request : dialect->whole_request, option.model);
    request_length = snprintf(request, sizeof request,
                              "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: application/json\r\nContent-Type: application/json\r\n"
                              "%s%sContent-Length: %d\r\n\r\n%s",
                              option.path ? option.path : dialect->path, option.port, dialect->request_headers, option.headers, length,
                              body);
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
    c->request_sent = false;
    begin_reply(&c->reply, option.stream, now_us());
    total.requests_started++;
    send_request(c);
}

static void end_request(struct conn *c, bool ended_by_itself) {
    struct reply *reply = &c->reply;
    long long now = now_us();
    c->active = false;
    total.out_of_order += reply->out_of_order;
    if (reply->status >= 0 && reply->status < 1000) total.statuses[reply->status]++;
    if (ended_by_itself && is_whole(reply, option.dialect, option.events)) {
        total.ok++;
    } else {
        total.bad++;
        if (!total.bad_sample[0])
            snprintf(total.bad_sample, sizeof total.bad_sample, "status=%d events=%d out_of_order=%d tail=%.300s", reply->status,
                     reply->events, reply->out_of_order, tail_of(reply));
    }
    record(&round_trip, now - reply->asked_us);
    if (!option.keep_alive || reply->close_after || !ended_by_itself) close_connection(c);
    c->next_start_us = now + (long long)(option.think_ms * 1000);
}

static void take_close(struct conn *c) {
    if (!c->active) {
        close_connection(c);
    } else if (c->reply.framing == UNTIL_CLOSE) {
        c->reply.close_after = true;
        end_request(c, true);
    } else if (c->reply.head_length == 0) {
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
        if (c->active && take_bytes(&c->reply, bytes, got, now)) end_request(c, true);
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

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    read_options(argc, argv);
    render_request();
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
        watch_window(&option.window, &option.measured, (double)(now - began) / 1e6, false);
        if (!start_due_requests(connections, now >= last_start, now, &some_wait) || now > last_start + GRACE_US) break;
        // A millisecond when something is due soon, be it a request or the window's edge.
        int count = epoll_wait(epoll_fd, ready, BATCH, some_wait || option.window.from_s >= 0 ? 1 : 100);
        now = now_us(); // when these bytes were there: the time that we take over them is not the gateway's
        for (int i = 0; i < count; i++) serve_socket(ready[i].data.ptr, ready[i].events, now);
    }

    double elapsed_s = (double)(now_us() - began) / 1e6;
    watch_window(&option.window, &option.measured, elapsed_s, true);
    int unfinished = 0;
    for (int i = 0; i < option.connections; i++) unfinished += connections[i].active;
    print_report(elapsed_s, unfinished);
    return 0;
}
