// The handlers of the instruction table's rows: `bool NAME(TranslationContext&, fields...)`, or families with
// arguments that a row binds (fields.h). True means that translation goes on with the next instruction, false
// that a terminator was emitted.
#pragma once

#include "frontend/a64/translate/handlers_half.h"
#include "frontend/a64/translate/handlers_integer.h"
#include "frontend/a64/translate/handlers_simd.h"
#include "frontend/a64/translate/handlers_sve.h"
