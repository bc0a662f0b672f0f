// What a set of processes has used, read from outside: CPU time and memory, summed over the set.
#ifndef PROCESSES_H
#define PROCESSES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum { PROCESSES_MAX = 256 };

struct processes {
    int count;
    pid_t pids[PROCESSES_MAX];
};

static inline void add_processes(struct processes *set, char *comma_separated) {
    for (char *pid = strtok(comma_separated, ","); pid && set->count < PROCESSES_MAX; pid = strtok(NULL, ","))
        set->pids[set->count++] = atoi(pid);
}

// All threads, living and ended, to the nanosecond: the scheduler's own account.
static inline double cpu_us(const struct processes *set) {
    double total = 0;
    for (int i = 0; i < set->count; i++) {
        clockid_t clock;
        struct timespec used;
        if (clock_getcpuclockid(set->pids[i], &clock) == 0 && clock_gettime(clock, &used) == 0)
            total += (double)used.tv_sec * 1e6 + (double)used.tv_nsec / 1e3;
    }
    return total;
}

// The same from utime + stime, in steps of a clock tick: only to check the above.
static inline double cpu_ticks_us(const struct processes *set) {
    double total = 0;
    for (int i = 0; i < set->count; i++) {
        char path[64], text[2048];
        snprintf(path, sizeof path, "/proc/%d/stat", set->pids[i]);
        FILE *file = fopen(path, "r");
        if (!file) continue;
        text[fread(text, 1, sizeof text - 1, file)] = 0;
        fclose(file);
        char *after_name = strrchr(text, ')');
        unsigned long user, system;
        if (after_name && sscanf(after_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) == 2)
            total += (double)(user + system) * 1e6 / (double)sysconf(_SC_CLK_TCK);
    }
    return total;
}

static inline void memory_kb(const struct processes *set, long *rss, long *pss) {
    *rss = *pss = 0;
    for (int i = 0; i < set->count; i++) {
        char path[64], line[256];
        long kb;
        snprintf(path, sizeof path, "/proc/%d/smaps_rollup", set->pids[i]);
        FILE *file = fopen(path, "r");
        if (!file) continue;
        while (fgets(line, sizeof line, file)) {
            if (sscanf(line, "Rss: %ld", &kb) == 1) *rss += kb;
            else if (sscanf(line, "Pss: %ld", &kb) == 1) *pss += kb;
        }
        fclose(file);
    }
}

#endif
