// Code outside blocks: the stubs that all blocks share, and those made while blocks run.
#pragma once

#include "backend/x64/block_compiler.h"
#include "backend/x64/emitter.h"

namespace arclight::backend {

class StubEmitter : public Emitter {
  public:
    using Emitter::Emitter;

    // ---- emit_region_stubs.cpp
    /// These three as in jit/host_code.h; they move the cursor's cold end.
    const uint8_t* emit_counted_jump(CodeCursor& cursor, uint32_t counter, const void* target);
    const uint8_t* emit_sampler(CodeCursor& cursor, const jit::CompiledBlock& block, uint32_t ring);
    const uint8_t* emit_region_stub(CodeCursor& cursor, const jit::RegionStub& stub, const uint8_t* reuse);

    // ---- emit_stubs.cpp
    /// Everything in jit::SharedStubs, behind the constants at the start of the buffer.
    jit::SharedStubs emit_stubs();

    // ---- emit_tag_check.cpp
    const uint8_t* emit_tag_check(const Reg64& address);
    const uint8_t* emit_tag_victim(const Reg64& tag, bool write);

  private:
    const uint8_t* emit_victim(const Reg64& tag, bool write);
};

}  // namespace arclight::backend
