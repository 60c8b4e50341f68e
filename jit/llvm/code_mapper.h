// Puts what LLVM's linker loads into the code cache.
#pragma once

#include <llvm/ExecutionEngine/Orc/MemoryMapper.h>

#include <map>
#include <mutex>
#include <vector>

#include "jit/host_code.h"

namespace arclight::jit::tier2 {

/// Objects are linked in the view of the memory that is writable, for the addresses of the one that is executable. No access
/// rights are ever changed: constants are in pages of their own, but executable ones; writable data is refused.
class CodeMapper final : public llvm::orc::MemoryMapper {
  public:
    explicit CodeMapper(CodeRoom room) : room_(room) {}

    unsigned int getPageSize() override;
    void reserve(size_t bytes, OnReservedFunction done) override;
    char* prepare(llvm::orc::ExecutorAddr address, size_t bytes) override;
    void initialize(AllocInfo& info, OnInitializedFunction done) override;
    void deinitialize(llvm::ArrayRef<llvm::orc::ExecutorAddr> allocations,
                      OnDeinitializedFunction done) override;
    /// At the linker's end only; the memory is the code cache's.
    void release(llvm::ArrayRef<llvm::orc::ExecutorAddr> reservations, OnReleasedFunction done) override;

  private:
    char* writable(llvm::orc::ExecutorAddr address) const { return address.toPtr<char*>() + room_.distance; }

    CodeRoom room_;  ///< what is left
    std::mutex lock_;
    /// What to do when an allocation is given back.
    std::map<llvm::orc::ExecutorAddr, std::vector<llvm::orc::shared::WrapperFunctionCall>> ends_;
};

}  // namespace arclight::jit::tier2
