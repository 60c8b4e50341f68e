#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "host/memory_fault.h"
#include "mmu/guarded_mapping.h"
#include "mmu/host_stage.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// Guest RAM: anonymous memory with guards on both sides, huge pages where the host gives them; or a private copy of a file,
/// each page made when the guest first reads or writes it.
class RamMapping {
  public:
    enum class Sharing : uint8_t {
        Private,
        Shared,  ///< file(), which other processes can map
    };
    /// An error is one line for the user.
    static Result<std::unique_ptr<RamMapping>> allocate(uint64_t bytes, Sharing sharing = Sharing::Private);
    ~RamMapping();
    RamMapping(const RamMapping&) = delete;
    RamMapping& operator=(const RamMapping&) = delete;

    /// Lets the host put other memory behind single pages. Before the guest starts, with Sharing::Shared. The error is the system's
    /// own text.
    Result<void> make_host_stage(std::shared_ptr<const mmu::FaultFile> faults);
    /// Null: not made.
    mmu::HostStage* host_stage() { return stage_.get(); }

    /// Replaces the content by the file's from `offset` on, which is read as the guest comes to it; at once with a host stage, where
    /// the content is a file itself. Nothing is written back. The error is the system's own text.
    Result<void> map_file(int file, uint64_t offset);

    /// The host may take the memory of these whole pages of 4 KiB, which read as zeros afterwards. Pages outside stay, and so do
    /// some that lie scattered over the mapping of a file, or that show other memory. One thread at a time.
    void give_back(std::span<uint8_t> pages);

    uint8_t* host() const { return memory_.data(); }
    uint64_t size() const { return size_; }
    /// Of memory that is shared; -1: it is this process's alone.
    int file() const { return file_; }

  private:
    Result<void> copy_file(int file, uint64_t offset);
    RamMapping(mmu::GuardedMapping memory, uint64_t size, int file)
        : memory_(std::move(memory)),
          size_(size),
          file_(file),
          fallible_(std::in_place, memory_.data(), size, "guest memory",
                    host::FallibleMemory::Kind::Anonymous) {}
    mmu::GuardedMapping memory_;
    uint64_t size_;
    int file_;
    std::optional<host::FallibleMemory> fallible_;
    std::unique_ptr<mmu::HostStage> stage_;
    std::vector<bool> of_file_;  ///< by page; empty: without a file
    unsigned replaced_runs_ = 0;
};

}  // namespace arclight::guestos
