// Handlers of scalar floating point, Advanced SIMD and the cryptographic extension.
#pragma once

#include "frontend/a64/translate/translator.h"

namespace arclight::frontend::a64::translate {}
