// Sites of a kernel: instructions that a hypervisor wants to know of before the kernel runs (pre-virtualization).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace arclight::guestos::prepare {

/// The numbers are those of the file format (section.h).
enum class SiteKind : uint8_t {
    ReadRegister,   ///< MRS of a privileged register
    WriteRegister,  ///< MSR of one
    Pstate,         ///< MSR (immediate): DAIF, PAN, SPSel, UAO
    Tlbi,
    Cache,  ///< DC, IC, and restrictions of prediction
    AddressTranslation,
    ExceptionReturn,
    Hypercall,  ///< HVC, SMC
    Wait,       ///< WFI, WFE and those with a time limit
    Device,     ///< a load or store that met a device in a profiled run
    Block,      ///< where a profiled run began a translation block with one of the sites above
};
inline constexpr size_t kSiteKinds = static_cast<size_t>(SiteKind::Block) + 1;

/// "register reads", as counted.
std::string_view plural_of(SiteKind kind);

struct Site {
    uint32_t offset;  ///< from the start of the Image, a multiple of 4
    SiteKind kind;
    /// Of a profiled run: accesses of Device, translations of the others; 0: not met, or no profile.
    uint32_t frequency = 0;

    bool operator==(const Site&) const = default;
};
inline constexpr uint32_t kMaxFrequency = (1u << 24) - 1;  ///< stands for more, too

/// What an instruction word is by the decoder's rows and those of the registers and system instructions, whatever a CPU's
/// features are; nothing: no sensitive instruction. Registers and instructions that EL1 does not have are none.
std::optional<SiteKind> sensitive_kind(uint32_t insn);

}  // namespace arclight::guestos::prepare
