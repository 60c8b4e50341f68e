// Fastmem in a process that is no virtual machine: what FastmemSet writes into its tables is carried out by mmap() of the file
// that guest RAM is, in address space that is reserved for it. Nothing but the kernel's page tables is looked at by an access.
//
// An entry of the root stands for 512 GiB of this process's addresses, as it does in the tables of a processor. Such a slot is
// reserved as a whole before it is used (PROT_NONE), so that nothing else of the process is ever in it; what is unmapped becomes
// PROT_NONE again.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_set>
#include <utility>
#include <vector>

#include "mmu/host_tables.h"

namespace arclight::backend {

/// Guest RAM as a file that can be mapped a second time.
struct DirectMemory {
    uint8_t* host = nullptr;  ///< where it is mapped already, whole, at a multiple of 2 MiB
    uint64_t bytes = 0;
    int file = -1;  ///< it is mapped from its start. Negative: there is no direct memory
};

struct DirectTablesStats {
    uint64_t maps = 0, unmaps = 0;  ///< system calls
    uint64_t pages = 0;             ///< of 4 KiB, mapped
    uint64_t refused = 0;           ///< the host has no more mappings, or no more address space
};

/// One of a virtual CPU. On its thread, or while that stands.
class DirectTables final : public mmu::HostTables {
  public:
    /// The mappings that Linux gives a process at least (vm.max_map_count is 65,530 by default) are shared by `cpus` of these,
    /// and so are the slots.
    DirectTables(const DirectMemory& ram, unsigned cpus);
    ~DirectTables() override;
    DirectTables(const DirectTables&) = delete;
    DirectTables& operator=(const DirectTables&) = delete;

    const mmu::HostPageFormat& format() const override;
    uint64_t* root() override { return root_->entries; }
    bool may_use_root_entry(unsigned index) override;
    uint64_t* take_table() override;
    void give_back_table(uint64_t* table) override;
    uint64_t physical_of_table(const uint64_t* table) override { return reinterpret_cast<uint64_t>(table); }
    // NOLINTNEXTLINE(performance-no-int-to-ptr): an entry holds what physical_of_table() has said
    uint64_t* table_at(uint64_t physical) override { return reinterpret_cast<uint64_t*>(physical); }
    /// The offset in the file.
    std::optional<uint64_t> physical_of_page(const uint8_t* host) override;
    bool knows_page(const uint8_t*) override { return true; }
    /// Throws std::system_error if the host cannot unmap: nobody may go on then.
    void invalidate(std::span<const uint64_t> addresses) override;
    void release_root_entry(unsigned index) override { unmap_slot(index); }
    size_t max_addresses() const override { return 512; }
    bool on_demand() const override { return true; }
    void entered(uint64_t host_address, unsigned level, uint64_t entry) override;
    void complete() override;

    const DirectTablesStats& stats() const { return stats_; }
    /// Whether DirectTablesStats::refused has grown since the last call.
    bool take_refused() { return std::exchange(refused_, stats_.refused) != stats_.refused; }

  private:
    static constexpr unsigned kSlots = 256;  // of user space
    struct alignas(4096) Table {
        uint64_t entries[mmu::HostPageFormat::kTableEntries];
    };
    struct Run {
        uint64_t at = 0, bytes = 0, offset = 0;
        bool writable = false, large = false;
    };
    enum class Slot : uint8_t { Unknown, Foreign, Reserved };

    std::pair<uint64_t, bool> leaf(uint64_t address);
    void unmap(uint64_t at, uint64_t bytes);
    void unmap_slot(unsigned index);

    const DirectMemory ram_;
    const unsigned max_slots_;
    const uint64_t max_mappings_;
    std::unique_ptr<Table> root_;
    std::vector<std::unique_ptr<Table>> tables_;
    std::vector<Table*> free_;
    std::array<Slot, kSlots> slots_{};
    std::array<uint64_t, kSlots> mapped_{};  ///< about as many mappings are in the slot
    std::array<bool, kSlots> used_{};        ///< something was mapped in it
    unsigned reserved_ = 0;
    std::unordered_set<uint64_t> large_;  ///< mappings of 2 MiB, by number
    Run run_;                             ///< what complete() maps
    uint64_t mappings_ = 0;               ///< the sum of mapped_
    bool full_ = false;                   ///< the host refused one, and none has gone since
    std::vector<uint64_t> sorted_;        ///< of invalidate()
    DirectTablesStats stats_;
    uint64_t refused_ = 0;  ///< of take_refused()
};

}  // namespace arclight::backend
