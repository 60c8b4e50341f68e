#include "frontend/a64/scalable/execute.h"

#include "frontend/a64/scalable/machine.h"

namespace arclight::frontend::a64::scalable {

#define SCALABLE(name) void name(Machine&);
#include "frontend/a64/scalable/operations.inc"
#undef SCALABLE

namespace {
using Function = void (*)(Machine&);
constexpr Function kFunctions[] = {
#define SCALABLE(name) &name,
#include "frontend/a64/scalable/operations.inc"
#undef SCALABLE
};
}  // namespace

void execute(jit::GuestState& state, Memory* memory, const Operation& operation) {
    Machine machine(state, memory, operation);
    kFunctions[static_cast<size_t>(operation.kind)](machine);
}

}  // namespace arclight::frontend::a64::scalable
