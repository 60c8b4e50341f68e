#include "jit/llvm/code_mapper.h"

#include <llvm/ADT/STLExtras.h>

#include <algorithm>
#include <cstring>
#include <system_error>
#include <utility>

namespace arclight::jit::tier2 {

namespace orc = llvm::orc;

unsigned int CodeMapper::getPageSize() { return kPageSize; }

void CodeMapper::reserve(size_t bytes, OnReservedFunction done) {
    if (bytes > room_.executable.size())
        return done(llvm::createStringError(std::errc::not_enough_memory, "no room for regions"));
    const std::span<const uint8_t> taken = room_.executable.first(bytes);
    room_.executable = room_.executable.subspan(bytes);
    done(orc::ExecutorAddrRange(orc::ExecutorAddr::fromPtr(taken.data()), taken.size()));
}

char* CodeMapper::prepare(orc::ExecutorAddr address, size_t) { return writable(address); }

void CodeMapper::initialize(AllocInfo& info, OnInitializedFunction done) {
    orc::ExecutorAddr first(~uint64_t{0});
    for (const AllocInfo::SegInfo& segment : info.Segments) {
        if ((static_cast<unsigned>(segment.AG.getMemProt()) & static_cast<unsigned>(orc::MemProt::Write)) !=
            0)
            return done(llvm::createStringError(std::errc::permission_denied, "a region with writable data"));
        const orc::ExecutorAddr at = info.MappingBase + segment.Offset;
        std::memset(writable(at) + segment.ContentSize, 0, segment.ZeroFillSize);
        first = std::min(first, at);
    }
    auto ends = orc::shared::runFinalizeActions(info.Actions);
    if (!ends) return done(ends.takeError());
    {
        const std::lock_guard guard(lock_);
        ends_[first] = std::move(*ends);
    }
    done(first);
}

void CodeMapper::deinitialize(llvm::ArrayRef<orc::ExecutorAddr> allocations, OnDeinitializedFunction done) {
    llvm::Error error = llvm::Error::success();
    for (const orc::ExecutorAddr allocation : llvm::reverse(allocations)) {
        const std::lock_guard guard(lock_);
        const auto it = ends_.find(allocation);
        if (it == ends_.end()) continue;
        error = llvm::joinErrors(std::move(error), orc::shared::runDeallocActions(it->second));
        ends_.erase(it);
    }
    done(std::move(error));
}

void CodeMapper::release(llvm::ArrayRef<orc::ExecutorAddr>, OnReleasedFunction done) {
    done(llvm::Error::success());
}

}  // namespace arclight::jit::tier2
