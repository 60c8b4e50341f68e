// round_trip tcp|udp|dns HOST PORT COUNT: that many exchanges of one small message, one after the other, with a server that sends
// back what comes, or with a name server. Prints microseconds per exchange.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

int main(int argc, char** argv) {
    if (argc != 5) return 2;
    const int stream = strcmp(argv[1], "tcp") == 0, dns = strcmp(argv[1], "dns") == 0;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[3]))};
    if (inet_pton(AF_INET, argv[2], &to.sin_addr) != 1) return 2;
    const int fd = socket(AF_INET, stream ? SOCK_STREAM : SOCK_DGRAM, 0), on = 1;
    if (connect(fd, (struct sockaddr*)&to, sizeof to) != 0) return perror("connect"), 1;
    if (stream) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const struct timeval limit = {.tv_sec = 2};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    // A question about host.test's address.
    unsigned char query[] = "\0\1\1\0\0\1\0\0\0\0\0\0\4host\4test\0\0\1\0\1", answer[512];
    const size_t size = dns ? sizeof query - 1 : 16;
    const int count = atoi(argv[4]);
    int lost = 0;
    const double start = now();
    for (int i = 0; i < count; i++) {
        query[0] = (unsigned char)(i >> 8), query[1] = (unsigned char)i;
        if (write(fd, query, size) != (ssize_t)size) return perror("write"), 1;
        size_t got = 0;
        do {
            const ssize_t more = read(fd, answer + got, sizeof answer - got);
            if (more <= 0) {
                if (stream || ++lost > 5) return perror("read"), 1;
                break;
            }
            got = stream ? got + (size_t)more : size;
        } while (got < size);
    }
    printf("%.1f\n", (now() - start) / count);
    return 0;
}
