# How every target of this project is compiled: the interface library arclight_options, which the top-level file links to
# all of them. A packager's own CXXFLAGS come first on the command line and stay in force.
set(ARCLIGHT_MARCH x86-64-v3 CACHE STRING "What the host processor is assumed to be (-march)")
set(ARCLIGHT_SANITIZE OFF CACHE STRING "ON: AddressSanitizer and UndefinedBehaviorSanitizer; thread: ThreadSanitizer")

add_library(arclight_options INTERFACE)

# Emitted code needs x86-64-v3 (AVX2, BMI2, FMA, LZCNT), so the host code may use it too.
target_compile_options(arclight_options INTERFACE -march=${ARCLIGHT_MARCH})

# -Werror is not here: the presets set CMAKE_COMPILE_WARNING_AS_ERROR, a build by hand with another compiler does not.
target_compile_options(arclight_options INTERFACE -Wall -Wextra -Wno-missing-field-initializers)
# GCC 12 sees overlapping copies in std::string assignments that it inlines itself (GCC PR 105651).
target_compile_options(arclight_options INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)

# FP contraction would change results of host-side reference arithmetic.
target_compile_options(arclight_options INTERFACE -ffp-contract=off)

if(ARCLIGHT_SANITIZE)
  # Tier 2's module has no RTTI, as LLVM has none, so vptr checks cannot tell the type of its objects.
  set(sanitizers -fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=undefined)
  if(ARCLIGHT_SANITIZE STREQUAL thread)
    set(sanitizers -fsanitize=thread)
  else()
    # What guides the fuzz targets (tests/fuzz). Every program needs the functions that instrumented code calls.
    target_compile_options(arclight_options INTERFACE -fsanitize-coverage=trace-pc,trace-cmp)
    add_library(arclight_coverage STATIC tests/fuzz/driver/coverage.cpp)
    target_include_directories(arclight_coverage PRIVATE ${CMAKE_SOURCE_DIR})
    target_compile_options(arclight_coverage PRIVATE -O2)
    set_target_properties(arclight_coverage PROPERTIES POSITION_INDEPENDENT_CODE ON)
    target_link_libraries(arclight_options INTERFACE arclight_coverage)
  endif()
  target_compile_options(arclight_options INTERFACE ${sanitizers} -fno-omit-frame-pointer)
  # With a sanitizer, dlopen() of tier 2's module is called from the sanitizer's library, to which a program's RUNPATH
  # means nothing; its RPATH does.
  target_link_options(arclight_options INTERFACE ${sanitizers} -Wl,--disable-new-dtags)
endif()
