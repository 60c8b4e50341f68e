#include "guestos/cli/accelerators.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace arclight::guestos::cli {

namespace {

Accelerator find_kvm() {
    const int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (fd < 0) return {"kvm", false, fmt::format("/dev/kvm: {}", std::strerror(errno))};
    const int version = ioctl(fd, KVM_GET_API_VERSION, 0);
    close(fd);
    if (version != KVM_API_VERSION)
        return {"kvm", false, fmt::format("API version {} is not known", version)};
    return {"kvm", true, fmt::format("/dev/kvm, API version {}", version)};
}

}  // namespace

std::vector<Accelerator> find_accelerators() {
    return {{"process", true, "guest code runs in the host process"}, find_kvm()};
}

}  // namespace arclight::guestos::cli
