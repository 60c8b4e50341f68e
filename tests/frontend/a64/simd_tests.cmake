# Floating point, Advanced SIMD and cryptography.
arclight_add_test(frontend_simd_test
  SOURCES a64/block_check.cpp a64/simd_decode_test.cpp
  LIBS arclight_frontend)
