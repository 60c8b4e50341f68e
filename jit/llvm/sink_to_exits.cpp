#include "jit/llvm/sink_to_exits.h"

#include <llvm/IR/Constants.h>
#include <llvm/IR/Instructions.h>

#include <map>
#include <vector>

namespace arclight::jit::tier2 {

namespace {
using llvm::BasicBlock;
using llvm::Instruction;
using llvm::Value;

bool is_exit(const BasicBlock& block) { return llvm::isa<llvm::UnreachableInst>(block.getTerminator()); }

/// At most one host instruction, which may be executed anywhere.
bool is_cheap(const Instruction& i) {
    switch (i.getOpcode()) {
        case Instruction::Add:
        case Instruction::Sub:
        case Instruction::ZExt:
        case Instruction::Trunc:
        case Instruction::BitCast: return true;
        case Instruction::InsertElement:
            return llvm::isa<llvm::Constant>(i.getOperand(0)) && llvm::isa<llvm::Constant>(i.getOperand(2));
        default: return false;
    }
}

bool used_outside_exits(const Value& v, const Value* but) {
    for (const llvm::User* u : v.users())
        if (u != but && (llvm::isa<llvm::PHINode>(u) || !is_exit(*llvm::cast<Instruction>(u)->getParent())))
            return true;
    return false;
}

/// Sinking must not lengthen the lives of more values than before.
bool worth_sinking(const Instruction& i) {
    if (!is_cheap(i) || used_outside_exits(i, nullptr)) return false;
    unsigned variables = 0;
    bool all_kept = true;
    for (const llvm::Use& u : i.operands()) {
        if (llvm::isa<llvm::Constant>(u)) continue;
        ++variables;
        all_kept = all_kept && (llvm::isa<llvm::Argument>(u) || used_outside_exits(*u, &i));
    }
    return variables <= 1 || all_kept;
}
}  // namespace

void sink_to_exits(llvm::Function& f) {
    for (bool more = true; more;) {
        more = false;
        for (BasicBlock& block : f) {
            if (is_exit(block)) continue;
            for (auto it = block.rbegin(); it != block.rend();) {
                Instruction& i = *it++;
                if (i.use_empty() || !worth_sinking(i)) continue;
                std::map<BasicBlock*, Instruction*> copies;
                const std::vector<llvm::User*> users(i.user_begin(), i.user_end());
                for (llvm::User* u : users) {
                    BasicBlock* exit = llvm::cast<Instruction>(u)->getParent();
                    Instruction*& copy = copies[exit];
                    if (copy == nullptr) {
                        copy = i.clone();
                        copy->insertInto(exit, exit->getFirstInsertionPt());
                    }
                    u->replaceUsesOfWith(&i, copy);
                }
                i.eraseFromParent();
                more = true;
            }
        }
    }
}

}  // namespace arclight::jit::tier2
