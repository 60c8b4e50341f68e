// warmstart SECONDS: does the same mixed work over and over, a little of every loop in turn. Prints at the
// end when it began (milliseconds by the machine's counter, which starts with the machine), and each part
// that was done: its number, when it ended (milliseconds since the beginning), and how long it took.
#include <time.h>

#include "../programs/loops/loops.h"

// With shares of the short form, in percent, that take some milliseconds at most.
static const struct {
    const char* name;
    double percent;
} parts[] = {{"nbody", 0.1}, {"alu", 0.2},     {"interp", 0.2}, {"coremk", 0.5}, {"hmm", 0.01},
             {"md", 0.01},   {"sha256", 0.03}, {"fft", 0.01},   {"lbm", 0.01}};
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

static double machine_time(void) {
    u64 count, frequency;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(count));
    __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(frequency));
    return (double)count * 1e3 / (double)frequency;
}

int main(int argc, char** argv) {
    static struct {
        double end, cost;
        int part;
    } done[1 << 18];
    const struct loop* loops[kParts];
    u64 sums[kParts];
    self_path = argv[0];
    if (argc != 2) return 2;
    const double length = atof(argv[1]) * 1e3;
    for (int p = 0; p < kParts; p++) loops[p] = find(parts[p].name);
    const double start = now(), began = machine_time();
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
            done[count].end = at;
            done[count].cost = at - then;
            done[count++].part = p;
        }
    }
    printf("%.1f\n", began);
    for (long d = 0; d < count; d++) printf("%d %.3f %.4f\n", done[d].part, done[d].end, done[d].cost);
    return 0;
}
