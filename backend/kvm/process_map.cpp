#include "backend/kvm/process_map.h"

#include <elf.h>
#include <fmt/format.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>

namespace arclight::backend::kvm {

namespace {
constexpr uint64_t kPage = 4096, kLargePage = uint64_t{2} << 20;
/// The GiB with the pages of KVM_SET_TSS_ADDR and the local APIC.
constexpr uint64_t kTaken = uint64_t{3} << 30;
constexpr uint64_t kOurs = kPresent | kWritable | kUser | kAccessed;

bool is_mapped(uint64_t address) {
    unsigned char resident;
    return mincore(reinterpret_cast<void*>(address & ~uint64_t{4095}), 4096, &resident) == 0 ||
           errno != ENOMEM;
}

struct Range {
    uint64_t start = 0, end = 0;
};

/// The executable segment around `address` of an ELF image at `base`.
std::optional<Range> code_around(uint64_t address, uint64_t base, const ElfW(Phdr) * headers,
                                 unsigned count) {
    for (unsigned k = 0; k < count; ++k) {
        const ElfW(Phdr)& h = headers[k];
        if (h.p_type != PT_LOAD || (h.p_flags & PF_X) == 0) continue;
        const Range segment{(base + h.p_vaddr) & ~(kPage - 1),
                            (base + h.p_vaddr + h.p_memsz + kPage - 1) & ~(kPage - 1)};
        if (address >= segment.start && address < segment.end) return segment;
    }
    return std::nullopt;
}

/// The same of the program and all that it has loaded, from the dynamic linker's list: the process may have no way to
/// /proc. The list's lock is recursive, so it does not matter that this thread may hold it inside.
std::optional<Range> code_around(uint64_t address) {
    struct Search {
        uint64_t address;
        std::optional<Range> found;
    } search{address, std::nullopt};
    dl_iterate_phdr(
        [](dl_phdr_info* image, size_t, void* to) {
            auto& s = *static_cast<Search*>(to);
            s.found = code_around(s.address, image->dlpi_addr, image->dlpi_phdr, image->dlpi_phnum);
            return s.found ? 1 : 0;
        },
        &search);
    if (search.found) return search.found;
    // A static program's list lacks the vDSO.
    const uint64_t vdso = getauxval(AT_SYSINFO_EHDR);
    if (vdso == 0) return std::nullopt;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): the auxiliary vector has numbers
    const auto* start = reinterpret_cast<const char*>(vdso);
    const auto* elf = reinterpret_cast<const ElfW(Ehdr)*>(start);
    const auto* headers = reinterpret_cast<const ElfW(Phdr)*>(start + elf->e_phoff);
    uint64_t base = vdso;
    for (unsigned k = 0; k < elf->e_phnum; ++k)
        if (headers[k].p_type == PT_LOAD && headers[k].p_offset == 0) base = vdso - headers[k].p_vaddr;
    return code_around(address, base, headers, elf->e_phnum);
}
}  // namespace

ProcessMap::ProcessMap(VirtualMachine& vm, Arena& arena)
    : vm_(vm), arena_(arena), chunks_((kEnd >> kChunkBits) + 1) {}

Result<Table*> ProcessMap::add_root() {
    const std::lock_guard guard(lock_);
    if (roots_.empty()) {
        // The arena: its first 2 MiB are ring 0's.
        if (auto added = vm_.add_memory(Arena::gpa(), arena_.base(), arena_.size()); !added)
            return std::unexpected(added.error());
        Table* level2 = arena_.descend(shared_[table_index(arena_.base(), 3)]);
        Table* level1 = arena_.descend(level2[table_index(arena_.base(), 2)]);
        const unsigned first = table_index(arena_.base(), 1);
        for (uint64_t i = 0; i < arena_.size() / kLargePage; ++i)
            level1[first + i] = (Arena::gpa() + i * kLargePage) | kPresent | kWritable | kAccessed | kDirty |
                                kLarge | kNoExecute | (i == 0 ? 0 : kUser);
        chunks_[arena_.base() >> kChunkBits] = Arena::gpa() | kKnown;
    }
    auto* root = reinterpret_cast<Table*>(arena_.take_pages(1));
    if (root == nullptr) return std::unexpected("no memory for page tables");
    std::copy(std::begin(shared_), std::end(shared_), root);
    roots_.push_back(root);
    return root;
}

Result<void> ProcessMap::map_chunk(uint64_t chunk) {
    if (next_gpa_ == kTaken) next_gpa_ += uint64_t{1} << kChunkBits;
    const uint64_t gpa = next_gpa_, start = chunk << kChunkBits;
    if (gpa + (uint64_t{1} << kChunkBits) > uint64_t{1} << vm_.physical_bits())
        return std::unexpected("the virtual machine has no physical addresses left");
    const uint64_t bytes = std::min(uint64_t{1} << kChunkBits, kEnd - start);
    if (auto added = vm_.add_memory(gpa, start, bytes); !added) return added;
    next_gpa_ += uint64_t{1} << kChunkBits;

    // Built from the leaves up, so that a concurrent walk finds no entry or a complete path. A change from
    // not present to present needs no invalidation.
    Table* level2 = arena_.descend(shared_[table_index(start, 3)]);
    auto* level1 = reinterpret_cast<Table*>(arena_.take_pages(1));
    if (level2 == nullptr || level1 == nullptr) return std::unexpected("no memory for page tables");
    // The first 2 MiB stay unmapped: ProcessorThread must see a jump to address 0.
    for (unsigned i = start == 0 ? 1 : 0; i < kTableEntries; ++i)
        level1[i] = (gpa + i * kLargePage) | kOurs | kDirty | kLarge | kNoExecute;
    level2[table_index(start, 2)] = arena_.gpa_of(level1) | kOurs;
    for (Table* root : roots_) root[table_index(start, 3)] = shared_[table_index(start, 3)];
    chunks_[chunk] = gpa | kKnown;
    return {};
}

Result<void> ProcessMap::add(uint64_t address) {
    const std::lock_guard guard(lock_);
    if (address >= kEnd || !is_mapped(address))
        return std::unexpected(fmt::format("nothing is mapped at {:#x}", address));
    if (chunks_[address >> kChunkBits] != 0) return {};  // another processor has mapped it
    return map_chunk(address >> kChunkBits);
}

Table* ProcessMap::level1_of(uint64_t address) const {
    const uint64_t level2 = shared_[table_index(address, 3)];
    if (address >= kEnd || (level2 & kPresent) == 0) return nullptr;
    const uint64_t level1 = arena_.at(level2 & kAddressMask)[table_index(address, 2)];
    return (level1 & kPresent) != 0 ? arena_.at(level1 & kAddressMask) : nullptr;
}

/// The GiB are mapped. A processor that has an entry in its TLB still has fewer rights to execute, and faults, and more to
/// write, which the host kernel's mappings refuse.
bool ProcessMap::make_executable(uint64_t start, uint64_t end) {
    const auto code = [](uint64_t entry) { return entry & ~(kNoExecute | kWritable | kDirty); };
    for (uint64_t at = start; at < end;) {
        Table* level1 = level1_of(at);
        if (level1 == nullptr) return false;
        Table& large = level1[table_index(at, 1)];
        const uint64_t first = at & ~(kLargePage - 1), last = std::min(end, first + kLargePage);
        const uint64_t old = large;
        if ((old & kLarge) != 0 && (old & kNoExecute) == 0) {
            // It is executable already.
        } else if ((old & kLarge) != 0 && last - at == kLargePage) {
            __atomic_store_n(&large, code(old), __ATOMIC_RELEASE);
        } else {
            Table* pages = (old & kLarge) != 0 ? reinterpret_cast<Table*>(arena_.take_pages(1))
                                               : arena_.at(old & kAddressMask);
            if (pages == nullptr) return false;
            if ((old & kLarge) != 0)
                for (unsigned i = 0; i < kTableEntries; ++i) pages[i] = (old & ~kLarge) + i * kPage;
            for (uint64_t page = at; page < last; page += kPage) {
                Table& entry = pages[table_index(page, 0)];
                __atomic_store_n(&entry, code(entry), __ATOMIC_RELEASE);
            }
            const uint64_t rights = kPresent | kWritable | kAccessed | (old & kUser);
            __atomic_store_n(&large, arena_.gpa_of(pages) | rights, __ATOMIC_RELEASE);
        }
        at = last;
    }
    return true;
}

Result<void> ProcessMap::add_code(uint64_t start, uint64_t bytes) {
    const uint64_t end = (start + bytes + kPage - 1) & ~(kPage - 1);
    start &= ~(kPage - 1);
    constexpr uint64_t kChunk = uint64_t{1} << kChunkBits;
    for (uint64_t at = start; at < end; at = (at & ~(kChunk - 1)) + kChunk)
        if (auto added = add(at); !added) return added;
    const std::lock_guard guard(lock_);
    if (!make_executable(start, end)) return std::unexpected("no memory for page tables");
    return {};
}

bool ProcessMap::add_code_of_program(uint64_t address) {
    const std::optional<Range> code = code_around(address);
    if (!code) return false;
    // A large page at once: the rest may lie in a GiB that is not mapped.
    const uint64_t large = address & ~(kLargePage - 1);
    const std::lock_guard guard(lock_);
    return make_executable(std::max(code->start, large), std::min(code->end, large + kLargePage));
}

std::optional<uint64_t> ProcessMap::known(uint64_t address) const {
    if (address >= kEnd) return std::nullopt;
    const uint64_t chunk = chunks_[address >> kChunkBits];
    return chunk != 0 ? std::optional(chunk & ~kKnown) : std::nullopt;
}

/// Whoever asks asks for a GiB of guest RAM most times.
std::optional<uint64_t> ProcessMap::address_of(uint64_t gpa) const {
    const auto is_of = [&](uint64_t chunk) {
        const uint64_t known = chunks_[chunk].load(std::memory_order_relaxed);
        return known != 0 && known >> kChunkBits == gpa >> kChunkBits;
    };
    uint64_t chunk = last_found_.load(std::memory_order_relaxed);
    if (!is_of(chunk)) {
        for (chunk = 0; chunk < chunks_.size() && !is_of(chunk);) ++chunk;
        if (chunk == chunks_.size()) return std::nullopt;
        last_found_.store(chunk, std::memory_order_relaxed);
    }
    return chunk << kChunkBits | (gpa & ((uint64_t{1} << kChunkBits) - 1));
}

}  // namespace arclight::backend::kvm
