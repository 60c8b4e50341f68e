// The two hypervisors of this project as modules: the host process and the KVM virtual machine.
#pragma once

#include "guestos/prepare/module.h"
#include "jit/engine/engine.h"

namespace arclight::guestos::prepare {

/// Guest code in the host process: nothing leaves it, and memory is reached through the soft TLB.
class ProcessModule final : public Module {
  public:
    explicit ProcessModule(jit::Engine& engine) : engine_(engine) {}
    Binding sensitive(SiteKind kind, bool inlined) override;
    Binding device(uint64_t pa) override;
    Binding block(uint64_t pa, uint32_t translations) override;

  private:
    jit::Engine& engine_;
};

/// Guest code in the virtual machine: a CPU that waits leaves it. With fastmem a device access that is not bound faults there
/// first, and has its block translated again.
class KvmModule final : public Module {
  public:
    KvmModule(jit::Engine& engine, bool fastmem) : engine_(engine), fastmem_(fastmem) {}
    Binding sensitive(SiteKind kind, bool inlined) override;
    Binding device(uint64_t pa) override;
    Binding block(uint64_t pa, uint32_t translations) override;

  private:
    jit::Engine& engine_;
    bool fastmem_;
};

}  // namespace arclight::guestos::prepare
