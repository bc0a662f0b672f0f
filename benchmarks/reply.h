// A reply as it is read: the framing of HTTP, the marks in the body, and its last bytes.
#ifndef REPLY_H
#define REPLY_H

#include <stdbool.h>

#include "wire.h"

enum {
    READ_MAX = 256 * 1024, // bytes that `take_bytes` may be given at once
    HEAD_MAX = 16 * 1024,
    TAIL_MAX = 500, // the end of a stream, in which the terminator must be
};

enum framing { HEAD, CHUNK_SIZE, CHUNK_EXTENSION, CHUNK_DATA, CHUNK_END, LAST_LINE, BY_LENGTH, UNTIL_CLOSE };

struct reply {
    bool streams; // or is whole: then its one mark has no number
    bool close_after;
    long long asked_us;
    enum framing framing;
    int status;
    long long remaining; // of the body or of the chunk
    int head_length, events, next_sequence, out_of_order;
    int carry_length, tail_length;
    char carry[MARK_LENGTH]; // a mark that a read has cut
    char tail[TAIL_MAX + 1];
    char head[HEAD_MAX + 1];
};

void begin_reply(struct reply *r, bool streams, long long asked_us);

// True: the reply is complete.
bool take_bytes(struct reply *r, const char *bytes, int length, long long now);

// Whether a complete reply holds all that it should, so many events if it streams.
bool is_whole(struct reply *r, const struct dialect *dialect, int events);

// Its last bytes, ended by a 0.
const char *tail_of(struct reply *r);

#endif
