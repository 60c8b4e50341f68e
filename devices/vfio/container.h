#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "devices/vfio/system.h"
#include "mmu/guest_memory.h"
#include "mmu/result.h"

namespace arclight::devices::vfio {

/// Memory that a device reaches: `bytes` at `iova`, its own address of them.
struct DmaRange {
    uint64_t iova = 0;
    uint8_t* host = nullptr;
    uint64_t bytes = 0;
    bool operator==(const DmaRange&) const = default;
};
/// All of RAM at its guest-physical address, without pages that something else than RAM lies behind: a device could not be told of
/// a change there.
std::vector<DmaRange> dma_ranges(const mmu::GuestMemory& memory);

/// Addresses from `first` to `last`, both in it.
struct IovaWindow {
    uint64_t first = 0, last = 0;
    bool operator==(const IovaWindow&) const = default;
};

/// Groups of the host's devices behind one IOMMU (VFIO's container of type 1), and the memory that they reach.
class Container : public std::enable_shared_from_this<Container> {
  public:
    /// An error is one line for the user.
    static Result<std::shared_ptr<Container>> open(System system = {});

    const System& system() const { return system_; }
    /// The group's file, which is the container's. An error is one line without a name in front.
    Result<int> add_group(unsigned number);
    /// Whether all of [base, base + bytes) can be mapped. There is a group.
    Result<void> check(uint64_t base, uint64_t bytes) const;
    const std::vector<IovaWindow>& windows() const { return windows_; }

    /// Guest RAM for devices; it is pinned as long as somebody holds this.
    class Dma {
      public:
        Dma(std::shared_ptr<Container> container, std::vector<DmaRange> ranges)
            : container_(std::move(container)), ranges_(std::move(ranges)) {}
        ~Dma();
        Dma(const Dma&) = delete;
        Dma& operator=(const Dma&) = delete;

      private:
        const std::shared_ptr<Container> container_;
        const std::vector<DmaRange> ranges_;
    };
    /// One for all devices of the container, which are one machine's.
    Result<std::shared_ptr<Dma>> map(const mmu::GuestMemory& memory);

  private:
    Container(System system, File file) : system_(std::move(system)), file_(std::move(file)) {}
    Result<void> choose_iommu();
    void read_windows();
    void unmap(const DmaRange& range);

    const System system_;
    const File file_;
    std::map<unsigned, File> groups_;
    std::vector<IovaWindow> windows_;  ///< empty: the kernel does not tell
    std::weak_ptr<Dma> dma_;
};

}  // namespace arclight::devices::vfio
