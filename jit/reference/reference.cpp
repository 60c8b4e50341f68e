#include "jit/reference/reference.h"

#include "jit/reference/groups.h"

namespace arclight::jit {

namespace {
reference::Table make_table() {
    reference::Table table;
    reference::add_scalar_fp(table);
    reference::add_vector_fp(table);
    reference::add_vector_logic(table);
    reference::add_vector_arithmetic(table);
    reference::add_vector_saturating(table);
    reference::add_vector_shift(table);
    reference::add_vector_widen(table);
    reference::add_vector_reduce(table);
    reference::add_vector_permute(table);
    reference::add_polynomial(table);
    reference::add_bfloat(table);
    reference::add_crc(table);
    reference::add_aes(table);
    reference::add_sha(table);
    return table;
}
}  // namespace

VectorFn reference_function(ir::Op op) {
    static const reference::Table table = make_table();
    return table.rows[static_cast<size_t>(op)];
}

void describe(VectorCall& call, const ir::Inst& inst) {
    const bool vector = inst.op >= ir::Op::VConst;
    call.imm = inst.imm;
    call.aux = inst.aux;
    call.q = vector && ir::vec_q(inst.aux);
    if (vector) {
        call.esize = static_cast<uint8_t>(ir::vec_esize(inst.aux));
        if (inst.op == ir::Op::VExtractS) call.q = inst.type == ir::Type::I64;
    } else {
        call.esize = inst.type == ir::Type::I64 || inst.type == ir::Type::F64 ? 3 : 2;
    }
    call.reserved[0] = call.reserved[1] = 0;
}

}  // namespace arclight::jit
