// passes LOOP PERCENT COUNT: runs a loop COUNT times, each at PERCENT of the short form's length. Prints
// its checksum and how many seconds the fastest pass took: once all is compiled, and nothing else in the way.
#include <time.h>

#include "loops/loops.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char** argv) {
    static const struct loop* const tables[] = {integer_loops, data_loops, floating_loops, memory_loops,
                                                system_loops};
    self_path = argv[0];
    if (argc != 4) return 2;
    const struct loop* loop = find_loop(tables, sizeof tables / sizeof *tables, argv[1]);
    if (loop == NULL) {
        fprintf(stderr, "passes: no loop named %s\n", argv[1]);
        return 2;
    }
    scale = atof(argv[2]) / 100;
    double least = INFINITY;
    u64 sum = 0;
    for (int left = atoi(argv[3]); left > 0; left--) {
        restart_rnd();
        const double began = now();
        sum = loop->run();
        const double took = now() - began;
        if (took < least) least = took;
    }
    printf("%016llx %.6f\n", (unsigned long long)sum, least);
    return 0;
}
