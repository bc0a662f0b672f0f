// The dialects that both ends of the wire speak: a row each.
#ifndef DIALECTS_H
#define DIALECTS_H

#include <string.h>

#include "anthropic.h"
#include "openai_chat.h"
#include "wire.h"

static const struct dialect *const DIALECTS[] = {&OPENAI_CHAT, &ANTHROPIC};
enum { DIALECT_COUNT = sizeof DIALECTS / sizeof *DIALECTS };

// NULL: there is none of that name.
static inline const struct dialect *dialect_of_name(const char *name) {
    for (int i = 0; i < DIALECT_COUNT; i++)
        if (strcmp(DIALECTS[i]->name, name) == 0) return DIALECTS[i];
    return NULL;
}

#endif
