// Blocks of one load or store, through the soft TLB of a harness.
#pragma once

#include <gtest/gtest.h>

#include "tests/backend/comparison.h"

namespace arclight::backend::testing {

/// Their address is in x1, what they load or store in x0 or x2.
class AccessTest : public ::testing::Test {
  protected:
    template <typename F>
    CompiledBlock make(F build, uint32_t translation_flags = 0) {
        block_ = block_at(0, translation_flags);
        block_.superblock = superblock_;
        ir::Builder b(block_);
        b.insn_start(0, 0);
        build(b);
        b.emit(Op::Exit, Type::Void, {}, end_);
        return h_.compile(block_);
    }
    CompiledBlock load(unsigned log2, uint32_t aux = 0) {
        return make(
            [&](ir::Builder& b) { b.set_x(0, b.emit(Op::Load, Type::I64, {b.get_x(1)}, 0, log2 | aux)); });
    }
    CompiledBlock store(unsigned log2, uint32_t aux = 0, uint32_t translation_flags = 0) {
        return make(
            [&](ir::Builder& b) {
                b.emit(Op::Store, Type::Void, {b.get_x(1), b.get_x(2)}, 0, log2 | aux);
            },
            translation_flags);
    }
    unsigned slow_calls(const CompiledBlock& c, uint64_t address) {
        h_.slow_calls = 0;
        h_.state().x[1] = address;
        h_.state().pc = Harness::kPage;
        h_.run(c);
        return h_.slow_calls;
    }

    Harness h_;
    ir::Block block_;
    bool superblock_ = false;
    uint64_t end_ = 4;  ///< where the block's last exit leads, from its page
};

}  // namespace arclight::backend::testing
