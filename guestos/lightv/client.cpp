#include "guestos/lightv/client.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <span>

#include "host/send_files.h"
#include "mmu/lightv/json.h"

namespace arclight::guestos {

Result<std::string> ask_control(const std::string& path, const std::string& line, int descriptor) {
    sockaddr_un address{.sun_family = AF_UNIX};
    if (path.size() >= sizeof address.sun_path)
        return failure("'{}' is longer than a socket's path may be", path);
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
        const int error = errno;
        if (fd >= 0) close(fd);
        return failure("no run of arclight listens at '{}': {}", path, strerror(error));
    }
    const std::string message = line + "\n";
    std::string answer;
    // A run that refuses may answer and hang up before it has read all of it.
    (void)host::send_with_files(fd, {reinterpret_cast<const uint8_t*>(message.data()), message.size()},
                                std::span(&descriptor, descriptor >= 0 ? 1 : 0));
    char buffer[65536];
    for (ssize_t got; !answer.ends_with('\n') && answer.size() <= mmu::lightv::kMaxAnswerBytes &&
                      (got = recv(fd, buffer, sizeof buffer, 0)) > 0;)
        answer.append(buffer, static_cast<size_t>(got));
    close(fd);
    if (answer.size() > mmu::lightv::kMaxAnswerBytes)
        return failure("the run at '{}' gave an answer of more than {} MiB", path,
                       mmu::lightv::kMaxAnswerBytes >> 20);
    if (!answer.ends_with('\n')) return failure("the run at '{}' did not answer", path);
    answer.pop_back();
    return answer;
}

Result<mmu::lightv::Json> ask_for_result(const std::string& path, const mmu::lightv::Json& request,
                                         std::string_view who, int descriptor) {
    using mmu::lightv::Json;
    // Texts of the command line need not be UTF-8.
    const auto answered =
        ask_control(path, request.dump(-1, ' ', false, Json::error_handler_t::replace), descriptor);
    if (!answered) return std::unexpected(answered.error());
    const auto answer = mmu::lightv::parse_json(*answered, mmu::lightv::kMaxAnswerBytes);
    if (!answer) return failure("{} gave an answer that makes no sense: {}", who, answer.error());
    if (!answer->is_object() || !answer->contains("ok"))
        return failure("{} gave an answer that makes no sense", who);
    if ((*answer)["ok"] != true) {
        const auto error = answer->find("error");
        return failure("{}", error != answer->end() && error->is_string() ? error->get<std::string>()
                                                                          : std::string("it failed"));
    }
    const auto result = answer->find("result");
    return result != answer->end() ? *result : Json();
}

}  // namespace arclight::guestos
