// Handlers of the base instruction set and of the loads and stores of SIMD registers.
#pragma once

#include "frontend/a64/translate/translator.h"

namespace arclight::frontend::a64::translate {

// data_processing_imm.cpp
bool ADR(Translator& t, Imm<2> immlo, Imm<19> immhi, Reg d);
bool ADRP(Translator& t, Imm<2> immlo, Imm<19> immhi, Reg d);

// data_processing_reg.cpp

// branches.cpp

// exceptions.cpp

// system.cpp

// loads_stores.cpp

// loads_stores_pair.cpp

// loads_stores_vector.cpp

// atomics.cpp

}  // namespace arclight::frontend::a64::translate
