// The module interface of pre-virtualization: what a hypervisor must supply so that a prepared kernel's sites are bound when it
// is loaded. A site that is bound wrongly must not change what the guest computes: a module is told where, and takes it as a
// hint.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "guestos/prepare/site.h"
#include "jit/frontend.h"

namespace arclight::guestos::prepare {

/// What becomes of a site.
enum class Binding : uint8_t {
    None,    ///< as without preparation; UNDEFINED on this CPU, too
    Inline,  ///< emitted code alone
    Call,    ///< a direct call of the function that carries it out
    Exit,    ///< leaves the world in which guest code runs
    Device,  ///< a direct device call from the first translation on
    Ahead,   ///< a block that is translated before it is executed
};
inline constexpr size_t kBindings = static_cast<size_t>(Binding::Ahead) + 1;

class Module {
  public:
    virtual ~Module() = default;

    /// A sensitive instruction; `inlined`: the translator needs no function of the hypervisor's for it.
    virtual Binding sensitive(SiteKind kind, bool inlined) = 0;
    /// A load or store at this physical address that has met a device in an earlier run.
    virtual Binding device(uint64_t pa) = 0;
    /// The kernel begins a block with sites at this physical address; in an earlier run it was translated so often.
    virtual Binding block(uint64_t pa, uint32_t translations) = 0;
};

struct BoundSites {
    uint64_t sites = 0;
    uint64_t wrong = 0;  ///< that the image has no such instruction for; they are not bound
    std::array<uint64_t, kBindings> by{};

    uint64_t of(Binding binding) const { return by[static_cast<size_t>(binding)]; }
};

/// Binds the sites of an image that is loaded at the physical address `start`. They lie in the image (take_section()); what its
/// instructions are, the frontend says.
BoundSites bind_sites(std::span<const Site> sites, std::span<const uint8_t> image, uint64_t start,
                      const jit::Frontend& frontend, Module& module);

}  // namespace arclight::guestos::prepare
