// This process's own memory as the virtual machine sees it: at the same addresses, so that the program's
// code, data, heap and stacks work inside as they do outside.
//
// The first access to a GiB maps all of it: one memory slot of KVM, which may cover holes and follows later
// changes of the process's mappings, and one page of 2 MiB entries. The host kernel's mappings decide whether a
// page can be read or written. They do not decide whether it is executed, so these page tables do: nothing is at
// first, and what is executable is not writable. Code of the program and of its libraries becomes executable when
// it is executed first.
//
// A thread can leave the machine for a first access at any point, for example in malloc() with the heap's
// lock held. So a successful add() allocates no memory and takes no lock that code inside takes.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "backend/kvm/kvm_device.h"
#include "backend/kvm/page_tables.h"

namespace arclight::backend::kvm {

/// One per machine.
class ProcessMap {
  public:
    ProcessMap(VirtualMachine& vm, Arena& arena);

    /// Makes the root table of another processor, with all GiB that are mapped so far.
    Result<Table*> add_root();
    /// Maps the GiB around `address`. An error if the process has no memory at `address`.
    Result<void> add(uint64_t address);
    /// Makes these pages of the process executable, and not writable; the GiB around them are mapped if need be.
    Result<void> add_code(uint64_t start, uint64_t bytes);
    /// The same for what is around `address` of the program, a library or the vDSO. False: no code of theirs is there,
    /// or no page is left for page tables.
    bool add_code_of_program(uint64_t address);
    /// The guest physical address of the GiB around `address`, if it is mapped. Takes no lock, so it may be
    /// called inside.
    std::optional<uint64_t> known(uint64_t address) const;
    /// The address of the process that this guest physical address stands for, if it is in a GiB that is mapped.
    std::optional<uint64_t> address_of(uint64_t gpa) const;

    static constexpr uint64_t kEnd = 0x7fff'ffff'f000;  ///< the end of user space

  private:
    static constexpr unsigned kChunkBits = 30;
    static constexpr uint64_t kKnown = 1;
    Result<void> map_chunk(uint64_t chunk);
    Table* level1_of(uint64_t address) const;
    bool make_executable(uint64_t start, uint64_t end);

    VirtualMachine& vm_;
    Arena& arena_;
    std::mutex lock_;                            // taken outside only
    std::vector<std::atomic<uint64_t>> chunks_;  // guest physical address and kKnown, or 0
    uint64_t next_gpa_ = uint64_t{1} << kChunkBits;
    mutable std::atomic<uint64_t> last_found_{0};  // by address_of()
    uint64_t shared_[kTableEntries] = {};
    std::vector<Table*> roots_;
};

}  // namespace arclight::backend::kvm
