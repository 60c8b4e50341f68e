// The built-in modules.
#pragma once

#include "mmu/lightv/module.h"

namespace arclight::mmu::lightv {

ModuleKind observe_kind();
ModuleKind remap_kind();
ModuleKind migrate_kind();
ModuleKind share_kind();
ModuleKind protect_kind();
ModuleKind fault_inject_kind();
ModuleKind churn_kind();

}  // namespace arclight::mmu::lightv
