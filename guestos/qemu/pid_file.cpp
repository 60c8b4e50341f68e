#include "guestos/qemu/pid_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace arclight::guestos::qemu {

PidFile::~PidFile() {
    if (descriptor_ < 0) return;
    unlink(path_.c_str());
    close(descriptor_);
}

Result<void> PidFile::make(const std::string& path) {
    const auto failed = [&](int descriptor) {
        const int error = errno;
        if (descriptor >= 0) close(descriptor);
        return failure("cannot create PID file: {}: {}", path, std::strerror(error));
    };
    for (;;) {
        const int descriptor = open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);
        if (descriptor < 0) return failed(descriptor);
        struct flock lock {};
        lock.l_type = F_WRLCK;
        lock.l_whence = SEEK_SET;
        if (fcntl(descriptor, F_SETLK, &lock) != 0) {
            close(descriptor);
            return failure("cannot create PID file: {}: another process has it", path);
        }
        // Whoever had it before may have removed it since it was opened.
        struct stat opened {
        }, named{};
        if (fstat(descriptor, &opened) != 0) return failed(descriptor);
        if (stat(path.c_str(), &named) != 0 || named.st_ino != opened.st_ino) {
            close(descriptor);
            continue;
        }
        const std::string text = std::to_string(getpid()) + "\n";
        if (ftruncate(descriptor, 0) != 0 ||
            write(descriptor, text.data(), text.size()) != ssize_t(text.size()))
            return failed(descriptor);
        path_ = path;
        descriptor_ = descriptor;
        return {};
    }
}

}  // namespace arclight::guestos::qemu
