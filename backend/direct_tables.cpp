#include "backend/direct_tables.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace arclight::backend {

namespace {
constexpr uint64_t kPage = 4096, kLarge = uint64_t{2} << 20, kSlotBytes = uint64_t{1} << 39;
/// Half of what Linux gives a process that nobody has configured, for the rest of the program needs some, and so does LightV.
constexpr uint64_t kMappings = 32'000;
constexpr unsigned kUsableSlots = 240;
constexpr size_t kMaxTables = 8192;

/// As x86 has it, though no processor reads it; mmu::HostPageFormat says what FastmemSet wants of it.
constexpr mmu::HostPageFormat kFormat{.present = 1,
                                      .writable = 2,
                                      .user = 4,
                                      .accessed = 0x20,
                                      .dirty = 0x40,
                                      .no_execute = uint64_t{1} << 63,
                                      .large = 0x80,
                                      .address_mask = 0x000f'ffff'ffff'f000,
                                      .software = {1 << 9, 1 << 10, 1 << 11, uint64_t{1} << 52},
                                      .non_canonical = uint64_t{1} << 47};

void* pointer(uint64_t address) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): an address of its own choice
    return reinterpret_cast<void*>(address);
}

constexpr int kReserve = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
}  // namespace

DirectTables::DirectTables(const DirectMemory& ram, unsigned cpus)
    : ram_(ram),
      max_slots_(std::max(kUsableSlots / cpus, 3u)),
      max_mappings_(kMappings / cpus),
      root_(std::make_unique<Table>()) {
    slots_[0] = Slot::Foreign;  // null pointers stay what they are
}

DirectTables::~DirectTables() {
    for (unsigned i = 0; i < kSlots; ++i)
        if (slots_[i] == Slot::Reserved) munmap(pointer(i * kSlotBytes), kSlotBytes);
}

const mmu::HostPageFormat& DirectTables::format() const { return kFormat; }

/// Whoever comes first has it: another CPU's tables, or another machine's in this process, find it taken.
bool DirectTables::may_use_root_entry(unsigned index) {
    if (index >= kSlots) return false;
    Slot& slot = slots_[index];
    if (slot != Slot::Unknown) return slot == Slot::Reserved;
    if (reserved_ == max_slots_) return false;
    void* const wanted = pointer(index * kSlotBytes);
    void* const got = mmap(wanted, kSlotBytes, PROT_NONE, kReserve | MAP_FIXED_NOREPLACE, -1, 0);
    if (got != MAP_FAILED && got != wanted) munmap(got, kSlotBytes);  // Linux before 4.17 takes it for a hint
    if (got != wanted) {
        slot = Slot::Foreign;
        return false;
    }
    // Nothing of it belongs into a core file.
    madvise(wanted, kSlotBytes, MADV_DONTDUMP);
    slot = Slot::Reserved;
    ++reserved_;
    return true;
}

uint64_t* DirectTables::take_table() {
    if (!free_.empty()) {
        Table* table = free_.back();
        free_.pop_back();
        *table = {};
        return table->entries;
    }
    if (tables_.size() == kMaxTables) return nullptr;
    return tables_.emplace_back(std::make_unique<Table>())->entries;
}

void DirectTables::give_back_table(uint64_t* table) { free_.push_back(reinterpret_cast<Table*>(table)); }

std::optional<uint64_t> DirectTables::physical_of_page(const uint8_t* host) {
    const auto offset = static_cast<uint64_t>(host - ram_.host);
    if (offset >= ram_.bytes) return std::nullopt;  // what lies elsewhere is no part of the file
    return offset;
}

void DirectTables::entered(uint64_t host_address, unsigned level, uint64_t entry) {
    const bool large = level != 0;
    const uint64_t bytes = large ? kLarge : kPage, at = host_address & ~(bytes - 1);
    const uint64_t offset = entry & kFormat.address_mask & ~(bytes - 1);
    const bool writable = (entry & kFormat.writable) != 0;
    if (large) large_.insert(at / kLarge);
    if (run_.bytes != 0 && run_.at + run_.bytes == at && run_.offset + run_.bytes == offset &&
        run_.writable == writable && run_.large == large) {
        run_.bytes += bytes;
        return;
    }
    complete();
    run_ = {.at = at, .bytes = bytes, .offset = offset, .writable = writable, .large = large};
}

void DirectTables::complete() {
    if (run_.bytes == 0) return;
    const Run run = run_;
    run_ = {};
    // Accesses fault and take the slow path then. The tables say that it is there, which costs nothing but that.
    if (full_ || mappings_ >= max_mappings_) {
        ++stats_.refused;
        return;
    }
    // One more, and what is left of the reservation around it: two pieces of one, or none where both neighbours are mapped.
    const uint64_t more = 2 - (leaf(run.at - 1).first != 0) - (leaf(run.at + run.bytes).first != 0);
    mapped_[run.at / kSlotBytes] += more;
    used_[run.at / kSlotBytes] = true;
    mappings_ += more;
    // Of a large page the guest need not have touched all, and RAM that it has not touched need not be there.
    const int flags = MAP_SHARED | MAP_FIXED | (run.large ? 0 : MAP_POPULATE);
    const int rights = PROT_READ | (run.writable ? PROT_WRITE : 0);
    if (mmap(pointer(run.at), run.bytes, rights, flags, ram_.file, static_cast<off_t>(run.offset)) ==
        MAP_FAILED) {
        ++stats_.refused;
        full_ = true;
        return;
    }
    ++stats_.maps;
    stats_.pages += run.bytes / kPage;
}

void DirectTables::unmap_slot(unsigned index) {
    complete();
    if (!used_[index]) return;
    if (mmap(pointer(index * kSlotBytes), kSlotBytes, PROT_NONE, kReserve | MAP_FIXED, -1, 0) == MAP_FAILED)
        throw std::system_error(errno, std::generic_category(), "cannot unmap guest memory");
    madvise(pointer(index * kSlotBytes), kSlotBytes, MADV_DONTDUMP);
    ++stats_.unmaps;
    mappings_ -= mapped_[index];
    mapped_[index] = 0;
    used_[index] = false;
    full_ = false;
    const uint64_t first = index * kSlotBytes / kLarge, end = (index + 1) * kSlotBytes / kLarge;
    std::erase_if(large_, [&](uint64_t number) { return number >= first && number < end; });
}

/// Where the host has no mapping left to split, the whole slot goes, which takes mappings away.
void DirectTables::unmap(uint64_t at, uint64_t bytes) {
    const auto index = static_cast<unsigned>(at / kSlotBytes);
    if (!used_[index]) return;
    ++stats_.unmaps;
    ++mapped_[index];
    ++mappings_;
    if (mmap(pointer(at), bytes, PROT_NONE, kReserve | MAP_FIXED, -1, 0) == MAP_FAILED) unmap_slot(index);
}

/// What the tables say of an address: the entry, and whether it is of a large page; 0: nothing is there.
std::pair<uint64_t, bool> DirectTables::leaf(uint64_t address) {
    uint64_t* table = root();
    for (unsigned level = 3;; --level) {
        const uint64_t entry = table[mmu::HostPageFormat::table_index(address, level)];
        if ((entry & kFormat.present) == 0) return {0, false};
        const bool large = level == 1 && (entry & kFormat.large) != 0;
        if (level == 0 || large) return {entry, large};
        table = table_at(entry & kFormat.address_mask);
    }
}

/// What was dropped may have been entered again meanwhile, in another way.
void DirectTables::invalidate(std::span<const uint64_t> addresses) {
    complete();
    if (addresses.empty()) {
        for (unsigned i = 0; i < kSlots; ++i) unmap_slot(i);
        return;
    }
    sorted_.assign(addresses.begin(), addresses.end());
    std::ranges::sort(sorted_);
    uint64_t at = 0, end = 0;
    for (const uint64_t address : sorted_) {
        const bool large = large_.erase(address / kLarge) != 0;
        const uint64_t bytes = large ? kLarge : kPage, first = address & ~(bytes - 1);
        if (first > end || end == 0) {
            if (end != 0) unmap(at, end - at);
            at = first;
        }
        end = std::max(end, first + bytes);
    }
    unmap(at, end - at);
    for (const uint64_t address : sorted_)
        if (const auto [entry, large] = leaf(address); entry != 0) entered(address, large ? 1 : 0, entry);
    complete();
}

}  // namespace arclight::backend
