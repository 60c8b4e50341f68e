#include "devices/psci.h"

namespace arclight::devices {

namespace {

// Function identifiers: ARM DEN 0022 section 5.1 and ARM DEN 0028 section 7. Bit 30 says "64-bit arguments".
constexpr uint32_t kSmc64 = 1u << 30;
constexpr uint32_t kSmcccVersion = 0x8000'0000;
constexpr uint32_t kSmcccArchFeatures = 0x8000'0001;
constexpr uint32_t kSmcccArchWorkaround1 = 0x8000'8000;
constexpr uint32_t kSmcccArchWorkaround2 = 0x8000'7fff;
constexpr uint32_t kSmcccArchWorkaround3 = 0x8000'3fff;
constexpr uint64_t kWorkaroundNotRequired = 1;
constexpr uint32_t kPsciVersion = 0x8400'0000;
constexpr uint32_t kPsciCpuSuspend = 0x8400'0001;
constexpr uint32_t kPsciCpuOff = 0x8400'0002;
constexpr uint32_t kPsciCpuOn = 0x8400'0003;
constexpr uint32_t kPsciAffinityInfo = 0x8400'0004;
constexpr uint32_t kPsciMigrateInfoType = 0x8400'0006;
constexpr uint32_t kPsciSystemOff = 0x8400'0008;
constexpr uint32_t kPsciSystemReset = 0x8400'0009;
constexpr uint32_t kPsciFeatures = 0x8400'000a;
constexpr uint32_t kPsciSystemReset2 = 0x8400'0012;

constexpr uint64_t kVersion11 = 0x1'0001;
constexpr uint32_t kStateVersion = 1;
constexpr uint64_t kMigrationNotRequired = 2;  // no Trusted OS

// Aff3 in 39:32, Aff2..0 in 23:0; all else must be zero.
constexpr uint64_t kAffinityMask = 0xff'00ff'ffff;

// SYSTEM_RESET2: architectural warm reset. Vendor types have bit 31 set.
constexpr uint32_t kReset2Warm = 0;

uint64_t result(int32_t value) { return static_cast<uint64_t>(static_cast<int64_t>(value)); }
uint64_t result(PsciResult value) { return result(static_cast<int32_t>(value)); }

// Which calls take 64-bit arguments and so exist in two forms.
bool has_smc64_form(uint32_t function) {
    return function == kPsciCpuSuspend || function == kPsciCpuOn || function == kPsciAffinityInfo ||
           function == kPsciSystemReset2;
}

bool is_psci_function(uint32_t function) {
    switch (function) {
        case kPsciVersion:
        case kPsciCpuSuspend:
        case kPsciCpuOff:
        case kPsciCpuOn:
        case kPsciAffinityInfo:
        case kPsciMigrateInfoType:
        case kPsciSystemOff:
        case kPsciSystemReset:
        case kPsciFeatures:
        case kPsciSystemReset2: return true;
        default: return false;
    }
}

// The 32-bit identifier of an existing call in either form, else 0.
uint32_t base_function(uint32_t function) {
    const uint32_t base = function & ~kSmc64;
    if ((function & kSmc64) != 0 && !has_smc64_form(base)) return 0;
    return is_psci_function(base) ? base : 0;
}

}  // namespace

void Psci::save(StateWriter& out) const {
    out.section("psci", kStateVersion, [&] { out(kVersion11); });
}

StateResult Psci::load(StateReader& in) {
    return in.section("psci", kStateVersion, [&] {
        uint64_t version = 0;
        in(version);
        in.require(version == kVersion11, "firmware of another version");
    });
}

uint64_t Psci::call(unsigned cpu, uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3) {
    const auto function = static_cast<uint32_t>(x0);
    if (function == kSmcccVersion) return kVersion11;
    // No workaround is needed, since nothing here speculates as an Arm core does. Saying so keeps Linux from
    // assuming the worst (Speculative Store Bypass: vulnerable).
    if (function == kSmcccArchFeatures) {
        const auto asked = static_cast<uint32_t>(x1);
        if (asked == kSmcccArchWorkaround1 || asked == kSmcccArchWorkaround2 ||
            asked == kSmcccArchWorkaround3)
            return kWorkaroundNotRequired;
        return asked == kSmcccVersion || asked == kSmcccArchFeatures ? 0 : result(PsciResult::NotSupported);
    }

    const uint32_t base = base_function(function);
    if ((function & kSmc64) == 0) {
        x1 = static_cast<uint32_t>(x1);
        x2 = static_cast<uint32_t>(x2);
        x3 = static_cast<uint32_t>(x3);
    }
    switch (base) {
        case kPsciVersion: return kVersion11;
        case kPsciCpuSuspend:
            // Powering down is allowed to be refused in favour of standby (5.4.1), and we always do.
            power_.suspend(cpu);
            return result(PsciResult::Success);
        case kPsciCpuOff: power_.cpu_off(cpu); return result(PsciResult::Success);
        case kPsciCpuOn:
            if ((x1 & ~kAffinityMask) != 0) return result(PsciResult::InvalidParameters);
            return result(power_.cpu_on(x1, x2, x3));
        case kPsciAffinityInfo:
            if ((x1 & ~kAffinityMask) != 0 || x2 > 3) return result(PsciResult::InvalidParameters);
            return result(power_.affinity_info(x1, static_cast<unsigned>(x2)));
        case kPsciMigrateInfoType: return kMigrationNotRequired;
        // These do not return to the caller (5.10, 5.11).
        case kPsciSystemOff:
            power_.system_off();
            power_.cpu_off(cpu);
            return result(PsciResult::Success);
        case kPsciSystemReset:
            power_.system_reset();
            power_.cpu_off(cpu);
            return result(PsciResult::Success);
        case kPsciSystemReset2:
            if (static_cast<uint32_t>(x1) != kReset2Warm) return result(PsciResult::InvalidParameters);
            power_.system_reset();
            power_.cpu_off(cpu);
            return result(PsciResult::Success);
        case kPsciFeatures: {
            const auto asked = static_cast<uint32_t>(x1);
            const bool known = asked == kSmcccVersion || base_function(asked) != 0;
            return known ? 0 : result(PsciResult::NotSupported);
        }
        default: return result(PsciResult::NotSupported);
    }
}

}  // namespace arclight::devices
