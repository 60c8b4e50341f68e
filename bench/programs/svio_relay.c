// The other end of an ordinary network device (bench/svio): a process that returns each frame with its addresses exchanged. One datagram
// socket a machine: the words are pairs of paths, its own and the machine's.
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { kBatch = 64, kMax = 65536 + 64, kMachines = 64 };

static char frames[kBatch][kMax];
static struct iovec pieces[kBatch];
static struct mmsghdr messages[kBatch];
static struct sockaddr_un to[kMachines];

static struct sockaddr_un address(const char* path) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    strncpy(a.sun_path, path, sizeof a.sun_path - 1);
    return a;
}

int main(int argc, char** argv) {
    struct pollfd sockets[kMachines];
    const int count = (argc - 1) / 2;
    if (count < 1 || count > kMachines) return 2;
    for (int i = 0; i < count; i++) {
        const struct sockaddr_un own = address(argv[1 + 2 * i]);
        const int room = 4 << 20;
        to[i] = address(argv[2 + 2 * i]);
        sockets[i] = (struct pollfd){socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), POLLIN, 0};
        setsockopt(sockets[i].fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
        if (bind(sockets[i].fd, (const struct sockaddr*)&own, sizeof own) != 0)
            return perror(argv[1 + 2 * i]), 1;
    }
    while (poll(sockets, (nfds_t)count, -1) > 0) {
        for (int i = 0; i < count; i++) {
            if (sockets[i].revents == 0) continue;
            for (int n = 0; n < kBatch; n++) {
                pieces[n] = (struct iovec){frames[n], kMax};
                messages[n] = (struct mmsghdr){.msg_hdr = {.msg_iov = &pieces[n], .msg_iovlen = 1}};
            }
            const int got = recvmmsg(sockets[i].fd, messages, kBatch, MSG_DONTWAIT, NULL);
            for (int n = 0; n < got; n++) {
                char swapped[6];
                memcpy(swapped, frames[n], 6), memcpy(frames[n], frames[n] + 6, 6),
                    memcpy(frames[n] + 6, swapped, 6);
                pieces[n].iov_len = messages[n].msg_len;
                messages[n].msg_hdr = (struct msghdr){
                    .msg_name = &to[i], .msg_namelen = sizeof to[i], .msg_iov = &pieces[n], .msg_iovlen = 1};
            }
            if (got > 0) sendmmsg(sockets[i].fd, messages, (unsigned)got, MSG_DONTWAIT);
        }
    }
    return 1;
}
