// What a program's exits cost, and what of the process's environment is the same inside.
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/kvm.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tests/kvm/machine.h"

namespace arclight::backend::kvm::testing {
namespace {

using Exits = KvmTest;

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

TEST_F(Exits, ASystemCallIsOneExit) {
    if (!the_probe().native_ring0) GTEST_SKIP() << the_probe().reason();
    ProcessorThread& p = processor();
    const long parent = getppid();
    const auto call = [&](int times) {
        const auto ran = p.run([&] {
            for (int i = 0; i < times; ++i) EXPECT_EQ(syscall(SYS_getppid), parent);
        });
        EXPECT_TRUE(ran) << ran.error();
    };
    call(10);
    const KvmCounter exits("exits");
    ASSERT_TRUE(exits.there());
    const uint64_t before = exits.get();
    call(1000);
    const uint64_t few = exits.get() - before;
    call(5000);
    const uint64_t many = exits.get() - before - few;
    // The host's timer makes some.
    EXPECT_GE(many - few, 4000u);
    EXPECT_LE(many - few, 5200u);
}

TEST(ArenaTest, NobodyElseCanMapInItsGigabyte) {
    constexpr size_t kBytes = size_t{8} << 20, kGib = size_t{1} << 30;
    const auto tried = [](uint64_t address) {
        void* p = mmap(reinterpret_cast<void*>(address), 4096, PROT_READ,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        if (p == MAP_FAILED) return errno;
        munmap(p, 4096);
        return 0;
    };
    uint64_t base = 0;
    {
        const Arena arena(kBytes);
        base = arena.base();
        for (const uint64_t offset : {uint64_t{0}, kBytes, kGib / 2, kGib - 4096})
            EXPECT_EQ(tried(base + offset), EEXIST) << offset;
    }
    EXPECT_EQ(tried(base + kGib / 2), 0);
}

// Programs may choose them by the host's processor (AT_HWCAP2).
TEST_F(Exits, TheSegmentBasesAreReadAsOutside) {
    constexpr unsigned long kFsgsbase = 2;
    if ((getauxval(AT_HWCAP2) & kFsgsbase) == 0 || (vm_->cr4_features() >> 16 & 1) == 0)
        GTEST_SKIP() << "this host has no RDFSBASE";
    uint64_t inside = 0;
    EXPECT_EQ(run([&] { asm volatile("rdfsbase %0" : "=r"(inside)); }), "");
    uint64_t outside = 0;
    asm volatile("rdfsbase %0" : "=r"(outside));
    EXPECT_EQ(inside, outside);
}

}  // namespace
}  // namespace arclight::backend::kvm::testing
