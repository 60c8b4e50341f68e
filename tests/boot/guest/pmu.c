// perf_event_open() of the CPU's own counters: cycles, exact counts of instructions, samples by overflow interrupts.
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "check.h"

static int open_event(uint64_t what, uint64_t period) {
    struct perf_event_attr attr = {.type = PERF_TYPE_HARDWARE,
                                   .size = sizeof attr,
                                   .config = what,
                                   .disabled = 1,
                                   .exclude_kernel = 1,
                                   .exclude_hv = 1,
                                   .sample_period = period,
                                   .wakeup_events = 1};
    const int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
    if (fd < 0) FAIL("perf_event_open %d: %s", (int)what, strerror(errno));
    return fd;
}

static void loop(uint64_t times) { __asm__ volatile("1: sub %0, %0, #1\n cbnz %0, 1b" : "+r"(times)); }

static uint64_t counted(int fd, uint64_t times) {
    uint64_t value = 0;
    ioctl(fd, PERF_EVENT_IOC_RESET, 0);
    ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
    loop(times);
    ioctl(fd, PERF_EVENT_IOC_DISABLE, 0);
    if (read(fd, &value, sizeof value) != sizeof value) FAIL("read");
    return value;
}

static volatile sig_atomic_t samples;
static void on_sample(int number) {
    (void)number;
    ++samples;
}

static void count(void) {
    const int instructions = open_event(PERF_COUNT_HW_INSTRUCTIONS, 0);
    // What is around the loop, in this program, is the same every time.
    const uint64_t base = counted(instructions, 1), more = counted(instructions, 1000001);
    if (more - base != 2000000) FAIL("%lu instructions for 2000000", (unsigned long)(more - base));
    const int cycles = open_event(PERF_COUNT_HW_CPU_CYCLES, 0);
    const uint64_t little = counted(cycles, 1), much = counted(cycles, 100000000);
    if (much < 1000000 || little > much)
        FAIL("%lu cycles, %lu for little", (unsigned long)much, (unsigned long)little);
    close(instructions);
    close(cycles);
}

/// `period`: events between two samples. Enough are there when the guest has executed `times` rounds.
static void sample(uint64_t what, uint64_t period, uint64_t times, int least, int most) {
    const int fd = open_event(what, period);
    fcntl(fd, F_SETFL, O_ASYNC);
    fcntl(fd, F_SETOWN, getpid());
    samples = 0;
    ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
    loop(times);
    ioctl(fd, PERF_EVENT_IOC_DISABLE, 0);
    close(fd);
    if (samples < least || samples > most) FAIL("event %d: %d samples", (int)what, (int)samples);
}

int main(void) {
    signal(SIGIO, on_sample);
    count();
    // On a busy host a CPU is late to look at its counters, and several overflows are one sample.
    sample(PERF_COUNT_HW_INSTRUCTIONS, 2000000, 40000000, 4, 40);
    sample(PERF_COUNT_HW_CPU_CYCLES, 1000000, 100000000, 5, 1000000);
    puts("ok");
}
