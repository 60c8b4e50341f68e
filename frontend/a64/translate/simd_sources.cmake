# Scalar floating point, Advanced SIMD and the cryptographic extension.
set(SIMD_SOURCES
  a64/translate/crypto.cpp
  a64/translate/fp.cpp
  a64/translate/fp_convert.cpp
  a64/translate/simd_by_element.cpp
  a64/translate/simd_fp.cpp
  a64/translate/simd_load_store.cpp
  a64/translate/simd_misc.cpp
  a64/translate/simd_permute.cpp
  a64/translate/simd_scalar.cpp
  a64/translate/simd_shift.cpp
  a64/translate/simd_three_different.cpp
  a64/translate/simd_three_same.cpp)
