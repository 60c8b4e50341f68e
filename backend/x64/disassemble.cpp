#include <Zydis/Zydis.h>
#include <fmt/format.h>

#include "jit/host_code.h"

namespace arclight::jit {

std::string disassemble(std::span<const uint8_t> code) {
    std::string text;
    size_t offset = 0;
    while (offset < code.size()) {
        ZydisDisassembledInstruction insn;
        const uint64_t address = reinterpret_cast<uint64_t>(code.data()) + offset;
        if (!ZYAN_SUCCESS(ZydisDisassembleIntel(ZYDIS_MACHINE_MODE_LONG_64, address, code.data() + offset,
                                                code.size() - offset, &insn))) {
            text += fmt::format("db {:#04x}\n", code[offset++]);
            continue;
        }
        const auto& op = insn.operands[0];
        uint64_t target = 0;
        if (insn.info.operand_count_visible > 0 && op.type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
            op.imm.is_relative && ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(&insn.info, &op, address, &target))) {
            const uint64_t start = reinterpret_cast<uint64_t>(code.data());
            const char* name = ZydisMnemonicGetString(insn.info.mnemonic);
            if (target >= start && target < start + code.size()) {
                text += fmt::format("{} +{:#x}\n", name, target - start);
            } else {
                text += fmt::format("{} out\n", name);
            }
        } else {
            text += insn.text;
            text += '\n';
        }
        offset += insn.info.length;
    }
    return text;
}

size_t instruction_length(std::span<const uint8_t> code) {
    ZydisDecoder decoder;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    ZydisDecodedInstruction insn;
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, nullptr, code.data(), code.size(), &insn)))
        return 0;
    return insn.length;
}

bool have_disassembler() { return true; }

}  // namespace arclight::jit
