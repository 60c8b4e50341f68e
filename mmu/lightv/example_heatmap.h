// The example module of README.md.
#pragma once

#include "mmu/lightv/module.h"

namespace arclight::mmu::lightv {

ModuleKind heatmap_kind();

}  // namespace arclight::mmu::lightv
