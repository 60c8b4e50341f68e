# Floating point, Advanced SIMD and cryptography.
arclight_add_test(frontend_simd_test
  SOURCES a64/block_check.cpp a64/simd_decode_test.cpp
  LIBS arclight_frontend)

# The data is what GNU binutils make of it.
add_test(NAME frontend.encodings COMMAND python3 ${CMAKE_CURRENT_SOURCE_DIR}/a64/data/make_encodings.py --check)
set_tests_properties(frontend.encodings PROPERTIES TIMEOUT 60 SKIP_RETURN_CODE 77)
