#include "backend/kvm/kvm_counters.h"

#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstring>

namespace arclight::backend::kvm {

namespace {
/// kvm_stats_desc without its name. In C++ its flexible array changes the structure's size.
struct Description {
    uint32_t flags;
    int16_t exponent;
    uint16_t size;  ///< number of values; more than one: a histogram
    uint32_t offset;
    uint32_t bucket_size;
};
static_assert(sizeof(Description) == 16);

bool read_at(int file, void* to, size_t bytes, uint64_t offset) {
    return pread(file, to, bytes, static_cast<off_t>(offset)) == static_cast<ssize_t>(bytes);
}
}  // namespace

KvmCounters::KvmCounters(int processor_fd) : file_(ioctl(processor_fd, KVM_GET_STATS_FD, 0)) {
    kvm_stats_header header{};
    if (!read_at(file_.get(), &header, sizeof header, 0)) return;
    std::string name(header.name_size, '\0');
    for (uint32_t i = 0; i < header.num_desc; ++i) {
        const uint64_t at = header.desc_offset + i * (sizeof(Description) + header.name_size);
        Description description{};
        if (!read_at(file_.get(), &description, sizeof description, at) ||
            !read_at(file_.get(), name.data(), name.size(), at + sizeof description))
            return;
        if (description.size == 1)
            counters_.push_back(
                {name.substr(0, name.find('\0')), uint64_t{header.data_offset} + description.offset});
    }
}

std::vector<std::pair<std::string, uint64_t>> KvmCounters::read() const {
    std::vector<std::pair<std::string, uint64_t>> out;
    for (const Counter& c : counters_) {
        uint64_t value = 0;
        if (read_at(file_.get(), &value, sizeof value, c.offset)) out.emplace_back(c.name, value);
    }
    return out;
}

}  // namespace arclight::backend::kvm
