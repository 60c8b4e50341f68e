#include "devices/gic_common.h"

#include "devices/register_access.h"

namespace arclight::devices {

uint32_t read_bank(const IrqBank& bank, BankRegister reg) {
    switch (reg) {
        case BankRegister::Group: return bank.group1;
        case BankRegister::SetEnable:
        case BankRegister::ClearEnable: return bank.enabled;
        case BankRegister::SetPending:
        case BankRegister::ClearPending: return bank.pending();
        case BankRegister::SetActive:
        case BankRegister::ClearActive: return bank.active;
    }
    return 0;
}

void write_bank(IrqBank& bank, BankRegister reg, uint32_t value, uint32_t mask, uint32_t writable) {
    const uint32_t ones = value & mask & writable;
    switch (reg) {
        case BankRegister::Group: bank.group1 = merge(bank.group1, value, mask & writable); break;
        case BankRegister::SetEnable: bank.enabled |= ones; break;
        case BankRegister::ClearEnable: bank.enabled &= ~ones; break;
        case BankRegister::SetPending: bank.latched |= ones; break;
        // A level interrupt whose wire is high stays pending.
        case BankRegister::ClearPending: bank.latched &= ~ones; break;
        case BankRegister::SetActive: bank.active |= ones; break;
        case BankRegister::ClearActive: bank.active &= ~ones; break;
    }
}

uint32_t read_priority_word(const IrqBank& bank, unsigned word) {
    uint32_t value = 0;
    for (unsigned i = 0; i < 4; i++) value |= static_cast<uint32_t>(bank.priority[word * 4 + i]) << (i * 8);
    return value;
}

void write_priority_word(IrqBank& bank, unsigned word, uint32_t value, uint32_t mask) {
    for (unsigned i = 0; i < 4; i++) {
        const auto covered = static_cast<uint8_t>(mask >> (i * 8));
        uint8_t& priority = bank.priority[word * 4 + i];
        priority = static_cast<uint8_t>((priority & ~covered) | (value >> (i * 8) & covered));
    }
}

// ICFGR has two bits an interrupt; only the upper one means something.
uint32_t read_config_word(const IrqBank& bank, unsigned word) {
    uint32_t value = 0;
    for (unsigned i = 0; i < 16; i++) value |= (bank.edge >> (word * 16 + i) & 1) << (i * 2 + 1);
    return value;
}

void write_config_word(IrqBank& bank, unsigned word, uint32_t value, uint32_t mask, uint32_t writable) {
    for (unsigned i = 0; i < 16; i++) {
        const uint32_t bit = 1u << (word * 16 + i);
        if ((writable & bit) == 0 || (mask >> (i * 2 + 1) & 1) == 0) continue;
        bank.edge = (value >> (i * 2 + 1) & 1) != 0 ? bank.edge | bit : bank.edge & ~bit;
    }
}

}  // namespace arclight::devices
