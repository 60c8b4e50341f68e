// This process's own memory as the virtual machine sees it: at the same addresses, so that the program's
// code, data, heap and stacks serve inside as they do outside.
//
// It is mapped by GiB when something in it is first touched: one memory slot of KVM, which may cover holes
// and follows whatever the process maps there later, and one page of 2 MiB entries. What may be done with a
// page is the host's mapping to say; KVM asks it.
//
// The thread that left the machine for a first touch may have done so anywhere, in malloc() with the heap's
// lock held among other places. So what add() does on success allocates nothing and takes no lock that is
// taken inside.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "backend/kvm/kvm_device.h"
#include "backend/kvm/page_tables.h"

namespace arclight::backend::kvm {

class ProcessMap {
  public:
    ProcessMap(VirtualMachine& vm, Arena& arena);

    /// The root of one more processor's tables, with what is mapped so far.
    Result<Table*> add_root();
    /// Makes `address` reachable. An error if the process has nothing there.
    Result<void> add(uint64_t address);
    /// The guest physical address of the GiB around `address`, if that is mapped. Takes no lock: inside, too.
    std::optional<uint64_t> known(uint64_t address) const;
    /// Root entries (512 GiB each) that the process's own memory uses, so that nothing else may.
    bool uses_root_entry(unsigned index) const { return shared_[index] != 0; }

    static constexpr uint64_t kEnd = 0x7fff'ffff'f000;  ///< of user space

  private:
    static constexpr unsigned kChunkBits = 30;
    static constexpr uint64_t kKnown = 1;
    Result<void> map_chunk(uint64_t chunk);

    VirtualMachine& vm_;
    Arena& arena_;
    std::mutex lock_;                            // outside only
    std::vector<std::atomic<uint64_t>> chunks_;  // guest physical address and kKnown, or 0
    uint64_t next_gpa_ = uint64_t{1} << kChunkBits;
    uint64_t shared_[kTableEntries] = {};
    std::vector<Table*> roots_;
};

}  // namespace arclight::backend::kvm
