// What a virtual CPU needs to pass on a semihosting call (Arm Semihosting for AArch32 and AArch64, 2024Q3), and what the
// one who carries it out needs of the virtual CPU.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

namespace arclight::guestos {

/// HLT #imm: the call of AArch64 code (section 4.2 there).
inline constexpr uint32_t kSemihostingHlt = 0xf000;

/// Guest memory by virtual address, as the calling code may access it: through its translation tables, with its rights,
/// and RAM only.
class GuestBytes {
  public:
    virtual ~GuestBytes() = default;
    /// False at the first byte that cannot be accessed; what lies before it may have been copied.
    virtual bool read(uint64_t va, std::span<uint8_t> to) = 0;
    virtual bool write(uint64_t va, std::span<const uint8_t> from) = 0;
    /// Whether write() of as many bytes would be refused now.
    virtual bool writable(uint64_t va, uint64_t bytes) = 0;
    /// Calls `host`, which may wait for the host and uses no guest memory; nobody waits for the virtual CPU meanwhile.
    virtual void outside(const std::function<void()>& host) = 0;
};

class SemihostingPort {
  public:
    virtual ~SemihostingPort() = default;
    /// Carries out `operation` (W0) with `parameter` (X1) and returns the new X0; nothing: the caller must not, and the
    /// instruction is undefined. On the virtual CPU's thread; may block.
    virtual std::optional<uint64_t> call(bool at_el0, uint32_t operation, uint64_t parameter,
                                         GuestBytes& memory) = 0;
};

}  // namespace arclight::guestos
