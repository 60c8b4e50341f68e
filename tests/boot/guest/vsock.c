// Sockets to the host: "vsock call PORT" sends stdin, then the end, and prints what comes back; "vsock echo PORT N" sends N clients' bytes back to
// them, up to their end, N at a time.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
// The second one needs the first.
// clang-format off
#include <sys/socket.h>
#include <linux/vm_sockets.h>
// clang-format on

static void check(int good, const char* what) {
    if (good) return;
    perror(what);
    exit(1);
}

static void write_all(int fd, const char* from, size_t size) {
    while (size != 0) {
        ssize_t put = write(fd, from, size);
        check(put > 0, "write");
        from += put, size -= (size_t)put;
    }
}

static void copy(int from, int to) {
    static char bytes[65536];
    ssize_t got;
    while ((got = read(from, bytes, sizeof bytes)) > 0) write_all(to, bytes, (size_t)got);
    check(got == 0, "read");
}

int main(int argc, char** argv) {
    check(argc >= 3, "vsock call|echo PORT");
    struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_port = (unsigned)strtoul(argv[2], NULL, 0)};
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
    check(fd >= 0, "socket");
    if (strcmp(argv[1], "call") == 0) {
        address.svm_cid = VMADDR_CID_HOST;
        check(connect(fd, (struct sockaddr*)&address, sizeof address) == 0, "connect");
        pid_t child = fork();
        if (child == 0) {
            copy(0, fd);
            check(shutdown(fd, SHUT_WR) == 0, "shutdown");
            return 0;
        }
        copy(fd, 1);
        int status = 0;
        waitpid(child, &status, 0);
        return status != 0;
    }
    address.svm_cid = VMADDR_CID_ANY;
    check(bind(fd, (struct sockaddr*)&address, sizeof address) == 0, "bind");
    check(listen(fd, 16) == 0, "listen");
    puts("listening");
    fflush(stdout);
    int clients = argc > 3 ? atoi(argv[3]) : 1;
    for (int i = 0; i < clients; i++) {
        int client = accept(fd, NULL, NULL);
        check(client >= 0, "accept");
        if (fork() == 0) {
            copy(client, client);
            return 0;
        }
        close(client);
    }
    int status = 0, failed = 0;
    while (wait(&status) > 0) failed |= status;
    return failed != 0;
}
