// What KVM itself counts, for tests.
#pragma once

#include <fmt/format.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <string>

namespace arclight::backend::kvm::testing {

/// A counter of the only virtual processor, as KVM keeps it (api.rst 4.134).
class KvmCounter {
  public:
    explicit KvmCounter(const char* name) {
        for (int fd = 0; fd < 1024 && file_ < 0; ++fd) {
            char target[64] = {};
            const ssize_t length =
                readlink(fmt::format("/proc/self/fd/{}", fd).c_str(), target, sizeof target - 1);
            if (length > 0 && std::strstr(target, "kvm-vcpu") != nullptr)
                file_ = ioctl(fd, KVM_GET_STATS_FD, 0);
        }
        kvm_stats_header header{};
        if (file_ < 0 || pread(file_, &header, sizeof header, 0) != sizeof header) return;
        struct Descriptor {  // kvm_stats_desc without its name
            uint32_t flags;
            int16_t exponent;
            uint16_t size;
            uint32_t offset, bucket_size;
        } descriptor{};
        std::string text(header.name_size, '\0');
        for (uint32_t i = 0; i < header.num_desc; ++i) {
            const off_t at =
                header.desc_offset + i * static_cast<off_t>(sizeof descriptor + header.name_size);
            (void)!pread(file_, &descriptor, sizeof descriptor, at);
            (void)!pread(file_, text.data(), text.size(), at + static_cast<off_t>(sizeof descriptor));
            if (std::strcmp(text.c_str(), name) == 0) place_ = header.data_offset + descriptor.offset;
        }
    }
    ~KvmCounter() {
        if (file_ >= 0) close(file_);
    }
    bool there() const { return place_ != 0; }
    uint64_t get() const {
        uint64_t value = 0;
        (void)!pread(file_, &value, sizeof value, static_cast<off_t>(place_));
        return value;
    }

  private:
    int file_ = -1;
    uint64_t place_ = 0;
};

}  // namespace arclight::backend::kvm::testing
