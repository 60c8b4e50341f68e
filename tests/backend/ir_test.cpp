// What the emitter relies on: the verifier says no to it, and the dead code pass keeps what may be seen.
#include "tests/backend/harness.h"

namespace arclight::backend::testing {
namespace {

template <typename F>
std::string verdict(F build) {
    ir::Block block = block_at();
    ir::Builder b(block);
    build(b);
    b.emit(Op::Exit, Type::Void, {}, 4);
    return ir::verify(block);
}

TEST(IrTest, VerifierNamesWhatIsWrong) {
    const auto x = [](ir::Builder& b) { return b.get_x(0); };
    EXPECT_EQ(verdict([&](ir::Builder& b) { b.set_x(1, x(b)); }), "");
    EXPECT_EQ(verdict([&](ir::Builder& b) {
                  const Ref r = b.bin_raw(Op::Add, Type::I64, x(b), x(b));
                  b.set_x(1, r);
                  b.set_flags(b.flags_of(r));
              }),
              "%3 FlagsOf: FlagsOf does not follow its operation");
    EXPECT_EQ(verdict([&](ir::Builder& b) { b.set_flags(x(b)); }),
              "%1 SetFlags: operand type does not fit the operation");
    EXPECT_EQ(verdict([&](ir::Builder& b) { b.emit(Op::GetX, Type::I64, {}, 32); }),
              "%0 GetX: register number out of range");
    EXPECT_EQ(verdict([&](ir::Builder& b) {
                  b.emit(Op::Add, Type::F64, {x(b), x(b)});
              }),
              "%1 Add: result type does not fit the operation");
    EXPECT_EQ(verdict([&](ir::Builder& b) { b.emit(Op::BitExtractU, Type::I32, {x(b)}, 20 | 13 << 8); }),
              "%1 BitExtractU: bit field out of range");
    EXPECT_EQ(verdict([&](ir::Builder& b) { b.store_field(x(b), offsetof(GuestState, x), 8); }),
              "%1 StoreField: guest registers are not fields");
    EXPECT_EQ(verdict([&](ir::Builder& b) { b.store_field(x(b), offsetof(GuestState, z_upper), 64); }),
              "%1 StoreField: 64 bytes that are not zeros");
    EXPECT_EQ(verdict([&](ir::Builder& b) { b.emit(Op::Exit, Type::Void, {}, 0); }),
              "%0 Exit: instruction after the end");
    ir::Block open = block_at();
    ir::Builder(open).i64(1);
    EXPECT_EQ(ir::verify(open), "%0 Const: block does not end");
}

}  // namespace
}  // namespace arclight::backend::testing
