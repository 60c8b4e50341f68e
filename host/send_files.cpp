#include "host/send_files.h"

#include <sys/socket.h>

#include <array>
#include <cstring>

namespace arclight::host {

ssize_t send_with_files(int socket, std::span<const uint8_t> bytes, std::span<const int> files, int flags) {
    alignas(cmsghdr) std::array<uint8_t, CMSG_SPACE(kMaxSentFiles * sizeof(int))> control{};
    iovec data{const_cast<uint8_t*>(bytes.data()), bytes.size()};
    msghdr message{.msg_iov = &data, .msg_iovlen = 1};
    if (!files.empty()) {
        message.msg_control = control.data();
        message.msg_controllen = CMSG_SPACE(files.size_bytes());
        cmsghdr* const rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(files.size_bytes());
        std::memcpy(CMSG_DATA(rights), files.data(), files.size_bytes());
    }
    return sendmsg(socket, &message, flags | MSG_NOSIGNAL);
}

}  // namespace arclight::host
