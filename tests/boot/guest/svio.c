// Frames from the guest to whoever returns them with the addresses exchanged ('arclight serve echo'), by raw sockets.
//   svio round IFACE COUNT BYTES            one at a time: round trips, the 10th, 50th and 99th of 100 in microseconds
//   svio window IFACE SECONDS BYTES WINDOW  as many as WINDOW under way: how many came back, in how many microseconds
//   svio flood IFACE SECONDS BYTES          as many as there is room for, whatever comes back
// BYTES: of Ethernet's data. SECONDS 0: until stdin ends.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { kType = 0x88b5, kBatch = 32, kMax = 1514, kHeader = 14 };

static uint64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static int fail(const char* what) {
    fprintf(stderr, "svio: %s: %s\n", what, strerror(errno));
    return 1;
}

static uint8_t out[kMax], in[kBatch][kMax];
static struct iovec out_piece = {out, 0}, in_pieces[kBatch];
static struct mmsghdr outgoing[kBatch], incoming[kBatch];

static int compare(const void* a, const void* b) {
    const uint32_t x = *(const uint32_t*)a, y = *(const uint32_t*)b;
    return (x > y) - (x < y);
}

static int open_on(const char* name) {
    const int s = socket(AF_PACKET, SOCK_RAW, htons(kType));
    struct ifreq about = {0};
    strncpy(about.ifr_name, name, IFNAMSIZ - 1);
    if (s < 0 || ioctl(s, SIOCGIFHWADDR, &about) != 0) return -1;
    memcpy(out + 6, about.ifr_hwaddr.sa_data, 6);
    memcpy(out, "\x02\0\0\0\0\xee", 6);
    out[12] = kType >> 8, out[13] = kType & 0xff;
    if (ioctl(s, SIOCGIFINDEX, &about) != 0) return -1;
    const struct sockaddr_ll at = {
        .sll_family = AF_PACKET, .sll_protocol = htons(kType), .sll_ifindex = about.ifr_ifindex};
    const int on = 1, room = 4 << 20;
    setsockopt(s, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on);
    setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    setsockopt(s, SOL_PACKET, 23 /* PACKET_IGNORE_OUTGOING */, &on, sizeof on);
    return bind(s, (const struct sockaddr*)&at, sizeof at) == 0 ? s : -1;
}

static int wait_for(int s, int ms) {
    struct pollfd waits = {s, POLLIN, 0};
    return poll(&waits, 1, ms) == 1;
}

static int round_trips(int s, unsigned count, size_t bytes) {
    uint32_t* times = calloc(count, sizeof *times);
    unsigned done = 0, lost = 0;
    for (uint32_t i = 0; i < count; i++) {
        memcpy(out + kHeader, &i, sizeof i);
        const uint64_t begin = now_us();
        while (send(s, out, bytes, 0) < 0)
            if (errno != ENOBUFS && errno != EAGAIN) return fail("send");
        for (;;) {
            uint32_t number = 0;
            if (!wait_for(s, 10000)) {
                lost++;
                break;
            }
            if (recv(s, in[0], kMax, 0) < kHeader + (ssize_t)sizeof number) continue;
            memcpy(&number, in[0] + kHeader, sizeof number);
            if (number != i) continue;
            times[done++] = (uint32_t)(now_us() - begin);
            break;
        }
    }
    qsort(times, done, sizeof *times, compare);
    printf("round-trips=%u lost=%u tenth=%u median=%u worst=%u\n", done, lost, done ? times[done / 10] : 0,
           done ? times[done / 2] : 0, done ? times[done * 99 / 100] : 0);
    return lost != 0;
}

static int stream(int s, unsigned seconds, size_t bytes, unsigned window) {
    const uint64_t begin = now_us(), end = seconds ? begin + seconds * 1000000ull : ~0ull;
    uint64_t sent = 0, received = 0, last = begin, resent = 0, t;
    out_piece.iov_len = bytes;
    for (int i = 0; i < kBatch; i++) {
        outgoing[i].msg_hdr.msg_iov = &out_piece, outgoing[i].msg_hdr.msg_iovlen = 1;
        in_pieces[i] = (struct iovec){in[i], kMax};
        incoming[i].msg_hdr.msg_iov = &in_pieces[i], incoming[i].msg_hdr.msg_iovlen = 1;
    }
    while ((t = now_us()) < end) {
        if (!seconds && wait_for(0, 0) && getchar() == EOF) break;
        uint64_t room = window ? window - (sent - received) : kBatch;
        if (room > kBatch) room = kBatch;
        int put = 0;
        if (room) {
            put = sendmmsg(s, outgoing, (unsigned)room, MSG_DONTWAIT);
            if (put < 0 && errno != ENOBUFS && errno != EAGAIN) return fail("send");
            if (put > 0) sent += (uint64_t)put;
        }
        const int got = recvmmsg(s, incoming, kBatch, MSG_DONTWAIT, NULL);
        if (got > 0) received += (uint64_t)got, last = t;
        if (got <= 0 && put <= 0) wait_for(s, window ? 20 : 1);
        // What is lost is given up.
        if (window && sent - received == window && t - last > 500000)
            resent += sent - received, sent = received, last = t;
    }
    printf("sent=%llu received=%llu lost=%llu us=%llu\n", (unsigned long long)(sent + resent),
           (unsigned long long)received, (unsigned long long)resent, (unsigned long long)(t - begin));
    return 0;
}

int main(int argc, char** argv) {
    if (argc < 5) return 2;
    const int s = open_on(argv[2]);
    if (s < 0) return fail(argv[2]);
    const unsigned count = (unsigned)atoi(argv[3]);
    size_t bytes = (size_t)atoi(argv[4]) + kHeader;
    if (bytes > kMax) bytes = kMax;
    if (bytes < 60) bytes = 60;
    if (!strcmp(argv[1], "round")) return round_trips(s, count, bytes);
    if (!strcmp(argv[1], "window") && argc > 5) return stream(s, count, bytes, (unsigned)atoi(argv[5]));
    return strcmp(argv[1], "flood") ? 2 : stream(s, count, bytes, 0);
}
