// Rare paths, emitted out of line when a block's hot path is complete.
#pragma once

#include <span>
#include <vector>

#include "backend/x64/assembler.h"

namespace arclight::backend {

struct EmitContext;

/// What a cold path may know; copied when it is requested.
struct ColdArgs {
    Ref inst = kNoRef;
    uint8_t reg[6] = {};  ///< register numbers
    uint32_t first = 0;   ///< locations of dirty guest registers, as in a FaultPoint
    uint16_t count = 0;
    uint16_t flag = 0;  ///< for the function's own use
    int64_t imm = 0;
    const uint8_t* resume = nullptr;  ///< where it goes on in the hot path; set by resume_here()
};
using ColdFn = void (*)(EmitContext&, const ColdArgs&);

class ColdPaths {
  public:
    explicit ColdPaths(Assembler& as) : as_(as) {}
    void start_block() { paths_.clear(), page = 0; }
    uint8_t page = 0;  ///< EmitContext::page of those that are requested from now on
    /// jcc to a cold path; returns its index.
    size_t jump(Cc cc, ColdFn fn, const ColdArgs& args = {}) { return add(as_.jump_if(cc, false), fn, args); }
    /// A cold path that `jump` leads to. No jump: only a fault does.
    size_t add(Jump jump, ColdFn fn, const ColdArgs& args);
    void resume_here(size_t cold) { paths_[cold].args.resume = as_.here(); }
    size_t size() const { return paths_.size(); }
    const ColdArgs& args(size_t cold) const { return paths_[cold].args; }
    /// Emits those that instructions of these, ascending, have asked for.
    void emit_of(std::span<const Ref> instructions, EmitContext& context);
    /// Emits all others here. They may ask for more.
    void emit_all(EmitContext& context);

  private:
    void emit(size_t index, EmitContext& context);

    struct Cold {
        Jump jump;
        ColdFn fn;  ///< null: is emitted
        ColdArgs args;
        uint8_t page;
    };
    Assembler& as_;
    std::vector<Cold> paths_;
};

}  // namespace arclight::backend
