#include "backend/kvm/kvm_device.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <immintrin.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

namespace arclight::backend::kvm {

namespace {
std::unexpected<std::string> failure(std::string_view what) {
    return std::unexpected(fmt::format("{}: {}", what, strerror(errno)));
}

constexpr unsigned kCpuidEntries = 256;
/// kvm_cpuid2. In C++ the flexible array of <linux/kvm.h> changes the structure's size, and with it the
/// numbers of the two requests.
struct Cpuid {
    uint32_t count = kCpuidEntries;
    uint32_t padding = 0;
    kvm_cpuid_entry2 entries[kCpuidEntries] = {};

    /// The features that KVM can give a guest.
    static Result<std::unique_ptr<Cpuid>> supported(int device) {
        auto cpuid = std::make_unique<Cpuid>();
        if (ioctl(device, _IOWR(KVMIO, 0x05, uint64_t), cpuid.get()) < 0)
            return failure("KVM_GET_SUPPORTED_CPUID");
        return cpuid;
    }
    int give_to(int processor) const { return ioctl(processor, _IOW(KVMIO, 0x90, uint64_t), this); }
};

template <uint32_t count>
Result<void> set_msrs(int processor, const std::array<kvm_msr_entry, count>& entries) {
    struct {  // kvm_msrs, of which the same holds as of Cpuid
        uint32_t number = count, padding = 0;
        std::array<kvm_msr_entry, count> entries;
    } msrs{.entries = entries};
    if (ioctl(processor, _IOW(KVMIO, 0x89, uint64_t), &msrs) != static_cast<int>(count))
        return failure("KVM_SET_MSRS");
    return {};
}
}  // namespace

FileDescriptor::~FileDescriptor() {
    if (fd_ >= 0) close(fd_);
}

Processor::Processor(Processor&& other) noexcept
    : fd_(std::move(other.fd_)), run_(std::exchange(other.run_, nullptr)), run_bytes_(other.run_bytes_) {}

Processor::~Processor() {
    if (run_ != nullptr) munmap(run_, run_bytes_);
}

Result<void> Processor::set_system_call(uint64_t entry, uint16_t kernel_code, uint16_t user_base) {
    constexpr uint32_t kStar = 0xc000'0081, kLstar = 0xc000'0082, kFmask = 0xc000'0084;
    constexpr uint64_t kAllFlags = 0xffff'ffff;
    return set_msrs<3>(fd(), {{{kStar, 0, uint64_t{kernel_code} << 32 | uint64_t{user_base} << 48},
                               {kLstar, 0, entry},
                               {kFmask, 0, kAllFlags}}});
}

Result<VirtualMachine> VirtualMachine::create(const char* device_path, unsigned max_slots) {
    VirtualMachine vm;
    vm.device_ = FileDescriptor(open(device_path, O_RDWR | O_CLOEXEC));
    if (vm.device_.get() < 0) return failure(fmt::format("{} cannot be opened", device_path));
    const int device = vm.device_.get();
    if (ioctl(device, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
        return std::unexpected(fmt::format("{} speaks another version of its interface", device_path));
    constexpr int kNeeded = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
    if ((ioctl(device, KVM_CHECK_EXTENSION, KVM_CAP_SYNC_REGS) & kNeeded) != kNeeded)
        return std::unexpected(fmt::format("{} lacks KVM_CAP_SYNC_REGS", device_path));
    const int slots = ioctl(device, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS);
    vm.max_slots_ = std::min(max_slots, static_cast<unsigned>(std::max(0, slots)));
    const int run_bytes = ioctl(device, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (run_bytes < static_cast<int>(sizeof(kvm_run))) return failure("KVM_GET_VCPU_MMAP_SIZE");
    vm.run_bytes_ = static_cast<size_t>(run_bytes);
    vm.vm_ = FileDescriptor(ioctl(device, KVM_CREATE_VM, 0));
    if (vm.vm_.get() < 0) return failure("KVM_CREATE_VM");
    // Intel processors need these pages outside the memory slots (api.rst 4.37, 4.41); others ignore the
    // calls.
    uint64_t identity_map = 0xffff'c000;
    (void)ioctl(vm.vm_.get(), KVM_SET_TSS_ADDR, 0xfffb'd000);
    (void)ioctl(vm.vm_.get(), KVM_SET_IDENTITY_MAP_ADDR, &identity_map);
    if (auto read = vm.read_cpuid(); !read) return std::unexpected(read.error());
    return vm;
}

Result<void> VirtualMachine::read_cpuid() {
    constexpr uint64_t kFsgsbase = uint64_t{1} << 16, kOsxsave = uint64_t{1} << 18, kPke = uint64_t{1} << 22;
    const auto cpuid = Cpuid::supported(device_.get());
    if (!cpuid) return std::unexpected(cpuid.error());
    for (unsigned i = 0; i < (*cpuid)->count; ++i) {
        const kvm_cpuid_entry2& e = (*cpuid)->entries[i];
        // SDM vol. 2, CPUID: which feature each bit of CR4 is for.
        if (e.function == 0x8000'0008) physical_bits_ = std::clamp(e.eax & 0xff, 36u, 46u);
        if (e.function == 1 && (e.ecx >> 26 & 1) != 0) cr4_features_ |= kOsxsave;
        if (e.function == 7 && e.index == 0 && (e.ebx & 1) != 0) cr4_features_ |= kFsgsbase;
        if (e.function == 7 && e.index == 0 && (e.ecx >> 3 & 1) != 0) cr4_features_ |= kPke;
        if (e.function == 0xd && e.index == 0) xcr0_features_ = e.eax | uint64_t{e.edx} << 32;
    }
    return {};
}

Result<Processor> VirtualMachine::create_processor() {
    FileDescriptor fd(ioctl(vm_.get(), KVM_CREATE_VCPU, processors_));
    if (fd.get() < 0) return failure("KVM_CREATE_VCPU");
    ++processors_;
    void* run = mmap(nullptr, run_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (run == MAP_FAILED) return failure("cannot map a virtual processor's page");
    Processor processor(std::move(fd), static_cast<kvm_run*>(run), run_bytes_);

    const auto cpuid = Cpuid::supported(device_.get());
    if (!cpuid) return std::unexpected(cpuid.error());
    if ((*cpuid)->give_to(processor.fd()) < 0) return failure("KVM_SET_CPUID2");
    // The process selected code for its own processor, AVX and AVX-512 included, and that code runs inside.
    kvm_xcrs xcrs{};
    xcrs.nr_xcrs = 1;
    xcrs.xcrs[0].value = _xgetbv(0) & xcr0_features_;
    (void)ioctl(processor.fd(), KVM_SET_XCRS, &xcrs);  // where it is refused, the probe finds out
    set_clock(processor.fd());

    if (ioctl(processor.fd(), KVM_GET_SREGS, &processor.sregs()) < 0) return failure("KVM_GET_SREGS");
    processor.run().kvm_valid_regs = KVM_SYNC_X86_REGS;
    return processor;
}

/// One time base inside and outside: the vDSO's clock parameters are for the host's TSC. Where it stays another one, the probe
/// finds out.
void VirtualMachine::set_clock(int processor) const {
    uint64_t no_offset = 0;
    kvm_device_attr attr{};
    attr.group = KVM_VCPU_TSC_CTRL;
    attr.attr = KVM_VCPU_TSC_OFFSET;
    attr.addr = reinterpret_cast<uint64_t>(&no_offset);
    if (!clock_by_value_ && ioctl(processor, KVM_SET_DEVICE_ATTR, &attr) == 0) return;
    // A host that measures its TSC's rate again after KVM was loaded gives new processors the old one. Where that is lower, KVM
    // refuses it, has no rate for the processor then, and takes the host's TSC for 0 where it makes an offset of a value.
    (void)ioctl(processor, KVM_SET_TSC_KHZ, 0);
    // Before Linux 5.16. KVM makes an offset of the value, about 1 us behind the host by what the call takes. It takes
    // further processors' values, within a second, for an attempt at the same clock, and gives them the same offset.
    constexpr uint32_t kTsc = 0x10;
    [[maybe_unused]] const auto set = set_msrs<1>(processor, {{{kTsc, 0, __rdtsc()}}});
}

Result<void> VirtualMachine::add_memory(uint64_t gpa, uint64_t host, uint64_t bytes) {
    if (slots_ >= max_slots_) return std::unexpected("KVM has no memory slot left");
    kvm_userspace_memory_region region{};
    region.slot = slots_;
    region.guest_phys_addr = gpa;
    region.memory_size = bytes;
    region.userspace_addr = host;
    if (ioctl(vm_.get(), KVM_SET_USER_MEMORY_REGION, &region) < 0)
        return failure("KVM_SET_USER_MEMORY_REGION");
    ++slots_;
    return {};
}

}  // namespace arclight::backend::kvm
