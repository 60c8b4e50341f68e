// warmstart SECONDS WINDOW_MS: does the same mixed work over and over, a little of every loop in turn, and
// prints at the end the least time that each part of it took (milliseconds), and how many of each were done
// in each window.
#include <time.h>

#include "../programs/loops/loops.h"

// With shares of the short form, in percent, that take some milliseconds at most.
static const struct {
    const char* name;
    double percent;
} parts[] = {{"nbody", 0.1}, {"alu", 0.2}, {"interp", 0.2}, {"coremk", 0.5}, {"hmm", 0.01}, {"md", 0.01}};
enum { kParts = sizeof parts / sizeof *parts };

static const struct loop* find(const char* name) {
    static const struct loop* const tables[] = {integer_loops, data_loops, floating_loops, memory_loops};
    const struct loop* loop = find_loop(tables, sizeof tables / sizeof *tables, name);
    if (loop != NULL) return loop;
    fprintf(stderr, "warmstart: no loop named %s\n", name);
    exit(2);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

int main(int argc, char** argv) {
    static struct {
        double end;
        int part;
    } done[1 << 20];
    static double work[1 << 13][kParts];
    const struct loop* loops[kParts];
    u64 sums[kParts];
    double cost[kParts];
    self_path = argv[0];
    if (argc != 3) return 2;
    const double length = atof(argv[1]) * 1e3, window = atof(argv[2]);
    const int windows = (int)(length / window);
    if (windows < 1 || windows > (int)(sizeof work / sizeof *work)) return 2;
    for (int p = 0; p < kParts; p++) loops[p] = find(parts[p].name), cost[p] = 1e9;
    const double start = now();
    long count = 0;
    for (double at = 0; at < length && count < (long)(sizeof done / sizeof *done) - kParts;) {
        for (int p = 0; p < kParts; p++) {
            scale = parts[p].percent / 100;
            restart_rnd();
            const u64 sum = loops[p]->run();
            if (count < kParts) sums[p] = sum;
            if (sums[p] != sum) {
                printf("wrong: %s: %016llx, was %016llx\n", parts[p].name, (unsigned long long)sum,
                       (unsigned long long)sums[p]);
                return 1;
            }
            const double then = at;
            at = now() - start;
            if (at - then < cost[p]) cost[p] = at - then;
            done[count].end = at;
            done[count++].part = p;
        }
    }
    // How much of each part was done in each window: a part that takes longer is spread over several.
    for (int p = 0; p < kParts; p++) printf("%.4f%c", cost[p], p == kParts - 1 ? '\n' : ' ');
    double then = 0;
    for (long d = 0; d < count; d++) {
        const double end = done[d].end, rate = 1 / (end > then ? end - then : 1e-6);
        while (then < end) {
            const int k = (int)(then / window);
            const double until = (k + 1) * window < end ? (k + 1) * window : end;
            if (k < windows) work[k][done[d].part] += (until - then) * rate;
            then = until > then ? until : end;
        }
    }
    for (int k = 0; k < windows; k++)
        for (int p = 0; p < kParts; p++) printf("%.4f%c", work[k][p], p == kParts - 1 ? '\n' : ' ');
    return 0;
}
