#include "devices/psci.h"

namespace arclight::devices {

namespace {

// Function identifiers: ARM DEN 0022 section 5.1 and ARM DEN 0028 section 7. Bit 30 says "64-bit arguments".
constexpr uint32_t smc64 = 1u << 30;
constexpr uint32_t smccc_version = 0x8000'0000;
constexpr uint32_t smccc_arch_features = 0x8000'0001;
constexpr uint32_t smccc_arch_workaround_1 = 0x8000'8000;
constexpr uint32_t smccc_arch_workaround_2 = 0x8000'7fff;
constexpr uint32_t smccc_arch_workaround_3 = 0x8000'3fff;
constexpr uint64_t workaround_not_required = 1;
constexpr uint32_t psci_version = 0x8400'0000;
constexpr uint32_t psci_cpu_suspend = 0x8400'0001;
constexpr uint32_t psci_cpu_off = 0x8400'0002;
constexpr uint32_t psci_cpu_on = 0x8400'0003;
constexpr uint32_t psci_affinity_info = 0x8400'0004;
constexpr uint32_t psci_migrate_info_type = 0x8400'0006;
constexpr uint32_t psci_system_off = 0x8400'0008;
constexpr uint32_t psci_system_reset = 0x8400'0009;
constexpr uint32_t psci_features = 0x8400'000a;
constexpr uint32_t psci_system_reset2 = 0x8400'0012;

constexpr uint64_t version_1_1 = 0x1'0001;
constexpr uint64_t migration_not_required = 2;  // no Trusted OS

// Aff3 in 39:32, Aff2..0 in 23:0; all else must be zero.
constexpr uint64_t affinity_mask = 0xff'00ff'ffff;

// SYSTEM_RESET2: architectural warm reset. Vendor types have bit 31 set.
constexpr uint32_t reset2_warm = 0;

uint64_t result(int32_t value) { return static_cast<uint64_t>(static_cast<int64_t>(value)); }
uint64_t result(PsciResult value) { return result(static_cast<int32_t>(value)); }

// Which calls take 64-bit arguments and so exist in two forms.
bool has_smc64_form(uint32_t function) {
    return function == psci_cpu_suspend || function == psci_cpu_on || function == psci_affinity_info ||
           function == psci_system_reset2;
}

bool is_psci_function(uint32_t function) {
    switch (function) {
        case psci_version:
        case psci_cpu_suspend:
        case psci_cpu_off:
        case psci_cpu_on:
        case psci_affinity_info:
        case psci_migrate_info_type:
        case psci_system_off:
        case psci_system_reset:
        case psci_features:
        case psci_system_reset2: return true;
        default: return false;
    }
}

// The 32-bit identifier of an existing call in either form, else 0.
uint32_t base_function(uint32_t function) {
    const uint32_t base = function & ~smc64;
    if ((function & smc64) != 0 && !has_smc64_form(base)) return 0;
    return is_psci_function(base) ? base : 0;
}

}  // namespace

uint64_t Psci::call(unsigned cpu, uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3) {
    const auto function = static_cast<uint32_t>(x0);
    if (function == smccc_version) return version_1_1;
    // No workaround is needed, since nothing here speculates as an Arm core does. Saying so keeps Linux from
    // assuming the worst (Speculative Store Bypass: vulnerable).
    if (function == smccc_arch_features) {
        const auto asked = static_cast<uint32_t>(x1);
        if (asked == smccc_arch_workaround_1 || asked == smccc_arch_workaround_2 ||
            asked == smccc_arch_workaround_3)
            return workaround_not_required;
        return asked == smccc_version || asked == smccc_arch_features ? 0 : result(PsciResult::not_supported);
    }

    const uint32_t base = base_function(function);
    if ((function & smc64) == 0) {
        x1 = static_cast<uint32_t>(x1);
        x2 = static_cast<uint32_t>(x2);
        x3 = static_cast<uint32_t>(x3);
    }
    switch (base) {
        case psci_version: return version_1_1;
        case psci_cpu_suspend:
            // Powering down is allowed to be refused in favour of standby (5.4.1), and we always do.
            power_.suspend(cpu);
            return result(PsciResult::success);
        case psci_cpu_off: power_.cpu_off(cpu); return result(PsciResult::success);
        case psci_cpu_on:
            if ((x1 & ~affinity_mask) != 0) return result(PsciResult::invalid_parameters);
            return result(power_.cpu_on(x1, x2, x3));
        case psci_affinity_info:
            if ((x1 & ~affinity_mask) != 0 || x2 > 3) return result(PsciResult::invalid_parameters);
            return result(power_.affinity_info(x1, static_cast<unsigned>(x2)));
        case psci_migrate_info_type: return migration_not_required;
        case psci_system_off: power_.system_off(); return result(PsciResult::success);
        case psci_system_reset: power_.system_reset(); return result(PsciResult::success);
        case psci_system_reset2:
            if (static_cast<uint32_t>(x1) != reset2_warm) return result(PsciResult::invalid_parameters);
            power_.system_reset();
            return result(PsciResult::success);
        case psci_features: {
            const auto asked = static_cast<uint32_t>(x1);
            const bool known = asked == smccc_version || base_function(asked) != 0;
            return known ? 0 : result(PsciResult::not_supported);
        }
        default: return result(PsciResult::not_supported);
    }
}

}  // namespace arclight::devices
