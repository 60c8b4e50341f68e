#include "guestos/image_keeper.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <span>

#include "host/send_files.h"

namespace arclight::guestos {

namespace {

constexpr size_t kMaxError = 1024;

/// A message of text with a descriptor; with none, the text is why.
void answer(int to, int descriptor, std::string text) {
    text.resize(std::min(text.size(), kMaxError));
    text.push_back('\0');  // a message has a byte at least
    (void)host::send_with_files(to, {reinterpret_cast<const uint8_t*>(text.data()), text.size()},
                                std::span(&descriptor, descriptor >= 0 ? 1 : 0));
}

// In the child, until the parent is gone. No thread runs yet, so that anything may follow fork().
[[noreturn]] void keep(const std::vector<std::string>& words, int parent) {
    // A Ctrl-C at the terminal is for the machine.
    setsid();
    signal(SIGCHLD, SIG_IGN);  // no zombies
    constexpr int kParent = 3;
    if (parent != kParent) dup3(parent, kParent, O_CLOEXEC);
    syscall(SYS_close_range, kParent + 1, ~0u, 0);
    char asked = 0;
    while (recv(kParent, &asked, sizeof asked, 0) == sizeof asked) {
        auto server = ServerProcess::start(words);
        if (!server) {
            answer(kParent, -1, server.error());
            continue;
        }
        const Descriptor connection(server->take_connection());
        answer(kParent, connection.fd, "");
    }
    _exit(0);
}

}  // namespace

Result<std::shared_ptr<ImageKeeper>> ImageKeeper::start(const std::vector<std::string>& words) {
    std::array<int, 2> ends{};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
        return failure("cannot make a socket: {}", std::strerror(errno));
    Descriptor ours(ends[0]);
    const Descriptor childs(ends[1]);
    const pid_t child = fork();
    if (child < 0) return failure("cannot start a process: {}", std::strerror(errno));
    if (child == 0) {
        close(ours.release());
        keep(words, childs.fd);
    }
    return std::shared_ptr<ImageKeeper>(new ImageKeeper(std::move(ours)));
}

Result<int> ImageKeeper::start_server() {
    const char ask = 1;
    if (write(keeper_.fd, &ask, sizeof ask) != sizeof ask) return failure("what starts its server has ended");
    std::array<char, kMaxError + 1> text{};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    iovec data{text.data(), text.size()};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    ssize_t got = 0;
    do got = recvmsg(keeper_.fd, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got <= 0) return failure("what starts its server has ended");
    const cmsghdr* const rights = CMSG_FIRSTHDR(&message);
    if (rights == nullptr) return failure("{}", std::string(text.data(), static_cast<size_t>(got) - 1));
    int connection = -1;
    std::memcpy(&connection, CMSG_DATA(rights), sizeof connection);
    return connection;
}

}  // namespace arclight::guestos
