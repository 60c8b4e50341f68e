// What a debugger looks at (tests/boot/gdb.py): a loop of calls, with a system call and an exclusive loop in each round, that ends
// when the debugger says so.
#include <stdio.h>
#include <unistd.h>

volatile long finish, rounds, total, seen;

__attribute__((noinline)) long add_exclusively(volatile long* to, long n) {
    long sum;
    int failed;
    __asm__ volatile(
        "exclusive_loop: ldxr %0, [%2]\n"
        "add %0, %0, %3\n"
        "stxr %w1, %0, [%2]\n"
        "cbnz %w1, exclusive_loop\n"
        "after_loop: nop\n"
        : "=&r"(sum), "=&r"(failed)
        : "r"(to), "r"(n)
        : "memory");
    return sum;
}

__attribute__((noinline)) long work(long n) {
    if (n >= 1000) seen = n;
    getppid();
    return add_exclusively(&total, n);
}

__attribute__((noinline)) void run(void) {
    while (!finish) {
        work(rounds % 10);
        rounds = rounds + 1;
    }
}

int main(void) {
    puts("ready");
    fflush(stdout);
    run();
    long expected = rounds / 10 * 45;
    for (long n = 0; n < rounds % 10; n++) expected += n;
    printf("rounds %ld, seen %ld, total %s\n", rounds, seen, total == expected ? "right" : "wrong");
    return 0;
}
