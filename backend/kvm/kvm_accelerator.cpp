#include "backend/kvm/kvm_accelerator.h"

#include <fmt/format.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>

#include "host/memory_fault.h"

namespace arclight::backend {

using kvm::AddressReservation;
using kvm::Arena;
using kvm::ProcessMap;
using kvm::ProcessorThread;

namespace {
/// The program's own memory needs one page of tables per GiB that it touches, and few others.
constexpr size_t kProcessTableBytes = size_t{16} << 20;
constexpr size_t kArenaUnit = size_t{2} << 20;

/// Of one processor. All of them are in the arena, which is in one GiB, so that many processors have less each.
size_t table_bytes(const KvmAccelerator::Options& options) {
    constexpr size_t kAll = size_t{512} << 20;
    return std::min(options.table_bytes, kAll / options.cpus);
}

size_t arena_bytes(const KvmAccelerator::Options& options) {
    const size_t fastmem = options.fastmem ? options.cpus * table_bytes(options) : 0;
    return Arena::kSystemBytes + (kProcessTableBytes + fastmem + kArenaUnit - 1) / kArenaUnit * kArenaUnit;
}
}  // namespace

/// The part of one processor's page tables that fastmem may use.
class KvmAccelerator::Tables final : public mmu::HostTables {
  public:
    Tables(ProcessorThread& thread, ProcessMap& process, Arena& arena, uint8_t* first, size_t count,
           const kvm::AddressReservation& reservation)
        : thread_(thread),
          process_(process),
          arena_(arena),
          next_(first),
          end_(first + count * 4096),
          reservation_(reservation) {}

    const mmu::HostPageFormat& format() const override { return page_entry::kFormat; }
    uint64_t* root() override { return thread_.root(); }
    bool may_use_root_entry(unsigned index) override { return reservation_.has(index); }
    uint64_t* take_table() override {
        if (!free_.empty()) {
            uint64_t* table = free_.back();
            free_.pop_back();
            return table;
        }
        if (next_ == end_) return nullptr;
        auto* table = reinterpret_cast<uint64_t*>(next_);
        next_ += 4096;
        return table;
    }
    /// Emptied here, inside: where ring 0 is emulated, a region's fault takes tables outside of the virtual machine, and KVM, which
    /// shadows tables there, does not see what is written to them outside. It would go on with what the table held before.
    void give_back_table(uint64_t* table) override {
        std::memset(table, 0, 4096);
        free_.push_back(table);
    }
    uint64_t physical_of_table(const uint64_t* table) override { return arena_.gpa_of(table); }
    uint64_t* table_at(uint64_t physical) override { return arena_.at(physical); }
    std::optional<uint64_t> physical_of_page(const uint8_t* host) override {
        const auto address = reinterpret_cast<uint64_t>(host);
        if (address >> 30 != known_chunk_) {
            // Another processor may have touched this GiB, but this one may not. Code inside cannot make KVM
            // add memory, so this read leaves the machine if the memory is missing, and the exit adds it.
            if (!host::touch([host] { (void)*static_cast<const volatile uint8_t*>(host); }))
                return std::nullopt;
            const auto gpa = process_.known(address);
            if (!gpa) return std::nullopt;
            known_gpa_ = *gpa;
            known_chunk_ = address >> 30;
        }
        return known_gpa_ + (address & ((uint64_t{1} << 30) - 1));
    }
    bool knows_page(const uint8_t* host) override {
        return process_.known(reinterpret_cast<uint64_t>(host)).has_value();
    }
    void invalidate(std::span<const uint64_t> addresses) override { thread_.invalidate(addresses); }

  private:
    ProcessorThread& thread_;
    ProcessMap& process_;
    Arena& arena_;
    uint8_t* next_;
    uint8_t* end_;
    const kvm::AddressReservation& reservation_;
    std::vector<uint64_t*> free_;
    uint64_t known_chunk_ = ~uint64_t{0}, known_gpa_ = 0;
};

KvmAccelerator::KvmAccelerator(kvm::VirtualMachine vm, const jit::CodeBuffer& code, const Options& options)
    : Accelerator(code),
      options_(options),
      vm_(std::move(vm)),
      arena_(arena_bytes(options)),
      process_(vm_, arena_) {}

KvmAccelerator::~KvmAccelerator() = default;

Result<std::unique_ptr<KvmAccelerator>> KvmAccelerator::create(const jit::CodeBuffer& code,
                                                               const Options& options) {
    auto vm = kvm::VirtualMachine::create();
    if (!vm) return std::unexpected(vm.error());
    std::unique_ptr<KvmAccelerator> accelerator(new KvmAccelerator(std::move(*vm), code, options));
    const kvm::CodeRange range{reinterpret_cast<uint64_t>(code.base()), code.range_log2()};
    for (unsigned cpu = 0; cpu < options.cpus; ++cpu) {
        auto thread = ProcessorThread::create(accelerator->vm_, accelerator->arena_, accelerator->process_,
                                              options.native_ring0, range, options.fastmem_fault);
        if (!thread) return std::unexpected(thread.error());
        accelerator->threads_.push_back(std::move(*thread));
    }
    // A fault of translated code counts as a guest access, so the code itself must be mapped before it runs, and where it
    // is written.
    constexpr uint64_t kGib = uint64_t{1} << 30;
    for (const uint8_t* view : {code.base(), static_cast<const uint8_t*>(code.writable(code.base()))}) {
        const auto first = reinterpret_cast<uint64_t>(view), end = first + (uint64_t{1} << range.log2);
        for (uint64_t at = first & ~(kGib - 1); at < end; at += kGib)
            if (auto added = accelerator->process_.add(std::max(at, first)); !added)
                return std::unexpected(added.error());
    }
    // Blocks and regions; the counters between them are data.
    const jit::CodeRoom regions = code.regions();
    for (const std::span<const uint8_t> part : {std::span(code.base(), code.size()), regions.executable})
        if (auto added = accelerator->process_.add_code(reinterpret_cast<uint64_t>(part.data()), part.size());
            !added)
            return std::unexpected(added.error());
    if (!options.fastmem) return accelerator;
    accelerator->reservation_ = AddressReservation::shared();
    if (accelerator->reservation_->count() == 0)
        return std::unexpected("no address space left for guest memory (ulimit -v?)");
    for (unsigned cpu = 0; cpu < options.cpus; ++cpu) {
        const size_t count = table_bytes(options) / 4096;
        uint8_t* pages = accelerator->arena_.take_pages(count);
        if (pages == nullptr) return std::unexpected("no memory for page tables");
        accelerator->tables_.push_back(std::make_unique<Tables>(*accelerator->threads_[cpu],
                                                                accelerator->process_, accelerator->arena_,
                                                                pages, count, *accelerator->reservation_));
    }
    return accelerator;
}

Result<void> KvmAccelerator::run_thread(unsigned cpu, const std::function<void()>& body) {
    return threads_[cpu]->run(body);
}

mmu::HostTables* KvmAccelerator::host_tables(unsigned cpu) {
    return tables_.empty() ? nullptr : tables_[cpu].get();
}

AcceleratorCounts KvmAccelerator::counts() const {
    kvm::ExitCounts sum;
    for (const auto& thread : threads_) {
        const kvm::ExitCounts& c = thread->counts();
        sum.system_calls += c.system_calls;
        sum.first_touches += c.first_touches;
        sum.fastmem_faults += c.fastmem_faults;
        sum.invalidations += c.invalidations;
        sum.asked_for += c.asked_for;
        sum.interrupted += c.interrupted;
        sum.refused += c.refused;
        for (unsigned i = 0; i < 512; ++i) sum.system_call[i] += c.system_call[i];
    }
    AcceleratorCounts out{{"total", sum.total()},
                          {"first_touches", sum.first_touches},
                          {"window_faults", sum.fastmem_faults},
                          {"invalidations", sum.invalidations},
                          {"asked_for", sum.asked_for},
                          {"interrupted", sum.interrupted},
                          {"refused_accesses", sum.refused}};
    // System calls that are expected have names: waiting and waking, devices, the event loop's wake-up.
    constexpr std::pair<unsigned, const char*> kNames[] = {{SYS_futex, "futex"},
                                                           {SYS_read, "read"},
                                                           {SYS_write, "write"},
                                                           {SYS_pread64, "pread"},
                                                           {SYS_pwrite64, "pwrite"},
                                                           {SYS_fdatasync, "fdatasync"},
                                                           {SYS_mmap, "mmap"},
                                                           {SYS_munmap, "munmap"},
                                                           {SYS_brk, "brk"},
                                                           {SYS_madvise, "madvise"},
                                                           {SYS_mprotect, "mprotect"},
                                                           {SYS_sched_yield, "sched_yield"},
                                                           {SYS_timerfd_settime, "timerfd_settime"},
                                                           {SYS_clock_gettime, "clock_gettime"}};
    for (const auto& [number, name] : kNames) {
        out.emplace_back(name, sum.system_call[number]);
        sum.system_call[number] = 0;
    }
    for (unsigned n = 0; n < 512; ++n)
        if (sum.system_call[n] != 0) out.emplace_back(fmt::format("system_call_{}", n), sum.system_call[n]);
    return out;
}

AcceleratorCounts KvmAccelerator::hypervisor_counts() const {
    AcceleratorCounts sum;
    for (const auto& thread : threads_) {
        const AcceleratorCounts own = thread->kvm_counters().read();
        if (sum.empty())
            sum = own;
        else
            for (size_t i = 0; i < own.size() && i < sum.size(); ++i) sum[i].second += own[i].second;
    }
    return sum;
}

}  // namespace arclight::backend
