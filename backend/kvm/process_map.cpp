#include "backend/kvm/process_map.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>

namespace arclight::backend::kvm {

namespace {
constexpr uint64_t kLargePage = uint64_t{2} << 20;
/// The GiB with the pages of KVM_SET_TSS_ADDR and the local APIC.
constexpr uint64_t kTaken = uint64_t{3} << 30;
constexpr uint64_t kOurs = kPresent | kWritable | kUser | kAccessed;

bool is_mapped(uint64_t address) {
    unsigned char resident;
    return mincore(reinterpret_cast<void*>(address & ~uint64_t{4095}), 4096, &resident) == 0 ||
           errno != ENOMEM;
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
                                kLarge | (i == 0 ? 0 : kUser);
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
        level1[i] = (gpa + i * kLargePage) | kOurs | kDirty | kLarge;
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

std::optional<uint64_t> ProcessMap::known(uint64_t address) const {
    if (address >= kEnd) return std::nullopt;
    const uint64_t chunk = chunks_[address >> kChunkBits];
    return chunk != 0 ? std::optional(chunk & ~kKnown) : std::nullopt;
}

}  // namespace arclight::backend::kvm
