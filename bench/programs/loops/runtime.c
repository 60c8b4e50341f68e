// What the loops need of the program that they are in.
#include "loops.h"

double scale = 1.0;
char* self_path;

#define SEED 88172645463325252ull
static u64 state = SEED;

long N(long n) {
    const long scaled = (long)((double)n * scale);
    return scaled < 1 ? 1 : scaled;
}

u64 rnd(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

void restart_rnd(void) { state = SEED; }

const struct loop* find_loop(const struct loop* const* tables, size_t count, const char* name) {
    for (size_t t = 0; t < count; t++)
        for (const struct loop* l = tables[t]; l->name; l++)
            if (strcmp(l->name, name) == 0) return l;
    return NULL;
}
