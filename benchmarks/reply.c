#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "figures.h"
#include "reply.h"

void begin_reply(struct reply *r, bool streams, long long asked_us) {
    r->streams = streams;
    r->asked_us = asked_us;
    r->close_after = false;
    r->framing = HEAD;
    r->status = r->head_length = r->events = r->next_sequence = r->out_of_order = r->carry_length = r->tail_length = 0;
}

const char *tail_of(struct reply *r) {
    r->tail[r->tail_length] = 0;
    return r->tail;
}

bool is_whole(struct reply *r, const struct dialect *dialect, int events) {
    if (r->status != 200) return false;
    if (!r->streams) return r->events == 1;
    return r->events == events && r->out_of_order == 0 && strstr(tail_of(r), dialect->terminator);
}

static long long digits(const char *text, int count) {
    long long value = 0;
    while (count--) value = value * 10 + (*text++ - '0');
    return value;
}

static void take_mark(struct reply *r, const char *mark, long long now) {
    if (r->streams) {
        int sequence = (int)digits(mark + MARK_SEQUENCE, MARK_SEQUENCE_DIGITS);
        if (sequence != r->next_sequence) r->out_of_order++;
        r->next_sequence = sequence + 1;
    }
    record(&latency, now - digits(mark + MARK_TIME, MARK_TIME_DIGITS));
    if (r->events++ == 0) record(&first_event, now - r->asked_us);
    total.events++;
}

// Finds the marks wherever they are, also across reads: what encloses them is the gateway's business.
static void scan_body(struct reply *r, const char *bytes, int length, long long now) {
    static char text[READ_MAX + MARK_LENGTH];
    memcpy(text, r->carry, r->carry_length);
    memcpy(text + r->carry_length, bytes, length);
    const char *at = text, *end = text + r->carry_length + length;
    int events_before = r->events;
    r->carry_length = 0;
    while ((at = memchr(at, '@', end - at))) {
        if (end - at >= 2 && at[1] != '@') {
            at++;
        } else if (end - at < MARK_LENGTH) {
            r->carry_length = (int)(end - at);
            memcpy(r->carry, at, r->carry_length);
            break;
        } else if (at[MARK_COLON] != ':') {
            at++;
        } else {
            take_mark(r, at, now);
            at += MARK_LENGTH;
        }
    }
    if (r->events > events_before) total.reads_with_events++;
}

static void keep_tail(struct reply *r, const char *bytes, int length) {
    if (length >= TAIL_MAX) {
        bytes += length - TAIL_MAX;
        length = TAIL_MAX;
    }
    int kept = r->tail_length + length > TAIL_MAX ? TAIL_MAX - length : r->tail_length;
    memmove(r->tail, r->tail + r->tail_length - kept, kept);
    memcpy(r->tail + kept, bytes, length);
    r->tail_length = kept + length;
}

static void take_body(struct reply *r, const char *bytes, int length, long long now) {
    if (!length) return;
    scan_body(r, bytes, length, now);
    keep_tail(r, bytes, length);
}

// Returns how many of the bytes belong to the head; the framing tells whether it is complete.
static int take_head(struct reply *r, const char *bytes, int length) {
    int before = r->head_length, room = HEAD_MAX - before;
    if (length > room) length = room;
    memcpy(r->head + before, bytes, length);
    r->head_length += length;
    r->head[r->head_length] = 0;
    char *end = strstr(r->head, "\r\n\r\n");
    if (!end) return length;
    end[2] = 0;
    r->status = r->head_length > 9 ? atoi(r->head + 9) : 0;
    r->close_after = strcasestr(r->head, "\r\nconnection: close");
    const char *content_length = strcasestr(r->head, "\r\ncontent-length:");
    if (strcasestr(r->head, "\r\ntransfer-encoding: chunked")) {
        r->framing = CHUNK_SIZE;
        r->remaining = 0;
    } else if (content_length) {
        r->framing = BY_LENGTH;
        r->remaining = atoll(content_length + strlen("\r\ncontent-length:"));
    } else {
        r->framing = UNTIL_CLOSE;
    }
    return (int)(end + 4 - r->head) - before;
}

static int hex_value(char digit) {
    if (digit >= '0' && digit <= '9') return digit - '0';
    digit |= 32;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

// One read becomes one piece of body, however many chunks it holds. True: the reply is complete.
static bool take_chunks(struct reply *r, const char *at, const char *end, long long now) {
    static char body[READ_MAX];
    int length = 0;
    bool complete = false;
    while (at < end && !complete) {
        if (r->framing == CHUNK_DATA) {
            long long piece = end - at < r->remaining ? end - at : r->remaining;
            memcpy(body + length, at, piece);
            length += (int)piece;
            at += piece;
            r->remaining -= piece;
            if (r->remaining == 0) r->framing = CHUNK_END;
            continue;
        }
        char byte = *at++;
        bool line_ends = byte == '\n';
        switch (r->framing) {
        case CHUNK_SIZE:
            if (hex_value(byte) >= 0) r->remaining = r->remaining * 16 + hex_value(byte);
            if (byte == ';') r->framing = CHUNK_EXTENSION;
            // fall through
        case CHUNK_EXTENSION:
            if (line_ends) r->framing = r->remaining ? CHUNK_DATA : LAST_LINE;
            break;
        case CHUNK_END:
            if (line_ends) r->framing = CHUNK_SIZE;
            break;
        default: // LAST_LINE: trailers are not expected
            complete = line_ends;
        }
    }
    take_body(r, body, length, now);
    return complete;
}

bool take_bytes(struct reply *r, const char *bytes, int length, long long now) {
    const char *end = bytes + length;
    if (r->framing == HEAD) {
        bytes += take_head(r, bytes, length);
        if (r->framing == HEAD) return false;
    }
    if (r->framing != BY_LENGTH && r->framing != UNTIL_CLOSE) return take_chunks(r, bytes, end, now);
    take_body(r, bytes, (int)(end - bytes), now);
    if (r->framing == UNTIL_CLOSE) return false;
    r->remaining -= end - bytes;
    return r->remaining <= 0;
}
