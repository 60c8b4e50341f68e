#include <Zydis/Zydis.h>
#include <fmt/format.h>

#include "jit/host_code.h"
#include "jit/host_instruction.h"
#include "jit/memory_operand.h"

namespace arclight::jit {

std::array<MemoryOperand, 2> memory_operands(const uint8_t* code, const std::array<uint64_t, 16>& registers) {
    std::array<MemoryOperand, 2> found{};
    ZydisDecoder decoder;
    ZydisDecodedInstruction insn;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    // An instruction that was executed does not reach into a page that is not there: the decoder stops at its end.
    if (!ZYAN_SUCCESS(ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)) ||
        !ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code, ZYDIS_MAX_INSTRUCTION_LENGTH, &insn, operands)))
        return found;
    const auto pc = reinterpret_cast<uint64_t>(code);
    ZydisRegisterContext context{};
    for (unsigned k = 0; k < registers.size(); ++k) context.values[ZYDIS_REGISTER_RAX + k] = registers[k];
    context.values[ZYDIS_REGISTER_RIP] = pc;
    size_t count = 0;
    for (unsigned k = 0; k < insn.operand_count && count < found.size(); ++k) {
        const ZydisDecodedOperand& op = operands[k];
        if (op.type != ZYDIS_OPERAND_TYPE_MEMORY || op.mem.type != ZYDIS_MEMOP_TYPE_MEM ||
            op.mem.segment == ZYDIS_REGISTER_FS || op.mem.segment == ZYDIS_REGISTER_GS)
            continue;
        uint64_t address = 0;
        if (ZYAN_SUCCESS(ZydisCalcAbsoluteAddressEx(&insn, &op, pc, &context, &address)))
            found[count++] = {address, (op.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0};
    }
    return found;
}

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

HostInstruction host_instruction(std::span<const uint8_t> code) {
    ZydisDecoder decoder;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    ZydisDecodedInstruction insn;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code.data(), code.size(), &insn, operands))) return {};
    HostInstruction found{.bytes = insn.length, .memory = {}};
    bool general = false, read = false, written = false;
    for (unsigned k = 0; k < insn.operand_count_visible; ++k) {
        const ZydisDecodedOperand& op = operands[k];
        const bool reads = (op.actions & ZYDIS_OPERAND_ACTION_MASK_READ) != 0;
        const bool writes = (op.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
        if (op.type == ZYDIS_OPERAND_TYPE_REGISTER) {
            const ZydisRegister r = op.reg.value;
            general = general || (r >= ZYDIS_REGISTER_EAX && r <= ZYDIS_REGISTER_R15);
            if (r < ZYDIS_REGISTER_XMM16 || r > ZYDIS_REGISTER_XMM31) continue;
            read = read || reads, written = written || writes;
        } else if (op.type == ZYDIS_OPERAND_TYPE_MEMORY && op.mem.type == ZYDIS_MEMOP_TYPE_MEM &&
                   op.mem.index == ZYDIS_REGISTER_NONE && op.mem.base >= ZYDIS_REGISTER_RAX &&
                   op.mem.base <= ZYDIS_REGISTER_R15) {
            found.memory = {true, reads, writes, static_cast<uint8_t>(op.mem.base - ZYDIS_REGISTER_RAX),
                            op.mem.disp.value};
        }
    }
    found.from_upper_vector = read && general;
    found.to_upper_vector = written && general;
    return found;
}

RelativeOperand relative_operand(std::span<const uint8_t> code) {
    ZydisDecoder decoder;
    ZydisDecodedInstruction insn;
    if (!ZYAN_SUCCESS(ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)) ||
        !ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, nullptr, code.data(), code.size(), &insn)))
        return {};
    const bool by_rip = (insn.attributes & ZYDIS_ATTRIB_HAS_MODRM) != 0 && insn.raw.modrm.mod == 0 &&
                        insn.raw.modrm.rm == 5 && insn.raw.disp.size == 32;
    return {insn.length, by_rip ? insn.raw.disp.offset : uint8_t{0}};
}

bool have_disassembler() { return true; }

}  // namespace arclight::jit
