// One function for each row of the instruction table: `bool NAME(TranslationContext&, fields...)`, fields as
// in fields.h. True means that translation goes on with the next instruction, false that a terminator was
// emitted.
#pragma once

#include "frontend/a64/translate/handlers_integer.h"
#include "frontend/a64/translate/handlers_simd.h"
