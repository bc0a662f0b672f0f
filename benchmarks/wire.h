// What upstream.c and loadgen.c must agree on: the mark inside every content event, and what a dialect says.
//
// A dialect is one `struct dialect` of constant text (dialects.h lists them). Both programs render it once at start-up and send the
// rendered bytes from then on, so the load costs the same whatever the dialect's syntax.
#ifndef WIRE_H
#define WIRE_H

#include <time.h>

// The mark is part of the generated text: "@@" SEQUENCE ":" MICROSECONDS, in fixed places so that only digits are overwritten.
// SEQUENCE counts the content events of one stream from 0; MICROSECONDS is CLOCK_MONOTONIC when the event was handed to send().
#define MARK "@@00000:0000000000000000"
enum {
    MARK_LENGTH = sizeof MARK - 1,
    MARK_SEQUENCE = 2,
    MARK_SEQUENCE_DIGITS = 5,
    MARK_COLON = 7,
    MARK_TIME = 8,
    MARK_TIME_DIGITS = 16,
};

struct dialect {
    const char *name;
    // What a client sends. The bodies have one %s, for the model's name.
    const char *path;
    const char *request_headers;
    const char *stream_request;
    const char *whole_request;
    // What the upstream answers, by the path that it was asked at.
    const char *reply_headers;
    const char *opening;   // the events before the first content
    const char *content;   // one content event, with the mark in its text and one %s where padding stands
    const char *ending[4]; // the events after the last content, each sent as a chunk of its own; NULL ends the list
    const char *whole;     // the body of a whole reply, with the mark in its text
    // Noise of a varying length, by which providers keep the sizes of events from telling the text: one %s, for the noise.
    const char *padding;
    char noise;
    // How a complete stream is told from one that was cut.
    const char *terminator;
};

static inline long long now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

#endif
