// Sends each datagram that comes to port 7 back, until one says "end".
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int main(void) {
    static char data[65536];
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(7)}, from;
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr*)&own, sizeof own) != 0) return perror("port 7"), 1;
    for (;;) {
        socklen_t size = sizeof from;
        const ssize_t got = recvfrom(fd, data, sizeof data, 0, (struct sockaddr*)&from, &size);
        if (got < 0) return perror("recvfrom"), 1;
        if (sendto(fd, data, (size_t)got, 0, (struct sockaddr*)&from, size) != got)
            return perror("sendto"), 1;
        if (got == 3 && memcmp(data, "end", 3) == 0) return 0;
    }
}
