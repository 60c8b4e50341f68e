list(APPEND arclight_jit_SOURCES
  reference/aes.cpp
  reference/bfloat.cpp
  reference/crc.cpp
  reference/polynomial.cpp
  reference/reference.cpp
  reference/scalar_fp.cpp
  reference/sha.cpp
  reference/vector_arithmetic.cpp
  reference/vector_fp.cpp
  reference/vector_logic.cpp
  reference/vector_permute.cpp
  reference/vector_reduce.cpp
  reference/vector_saturating.cpp
  reference/vector_shift.cpp
  reference/vector_widen.cpp)
