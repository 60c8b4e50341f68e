# How a bare-metal guest program is built: the tests' runtime and one C file.
set(guest_flags -O2 -Wall -Wextra -Werror -march=armv8.2-a+rcpc+dotprod -ffreestanding -fno-builtin -fno-stack-protector
  -fno-pie -no-pie -fno-tree-loop-distribute-patterns -mgeneral-regs-only -mstrict-align -mno-outline-atomics -nostdlib
  -static -Wl,--build-id=none -Wl,--no-warn-rwx-segments)
set(runtime ${CMAKE_SOURCE_DIR}/tests/baremetal/runtime)
set(runtime_sources ${runtime}/start.S ${runtime}/bm.c ${runtime}/gic.c)

# The guest program NAME from NAME.c, or SOURCE, with further OPTIONS of the compiler; its path goes to `out`.
function(arclight_add_guest name out)
  cmake_parse_arguments(guest "" "SOURCE" "OPTIONS" ${ARGN})
  if(NOT guest_SOURCE)
    set(guest_SOURCE ${name}.c)
  endif()
  set(elf ${CMAKE_CURRENT_BINARY_DIR}/${name}.elf)
  add_custom_command(OUTPUT ${elf}
    COMMAND ${AARCH64_GCC} ${guest_flags} -I${CMAKE_SOURCE_DIR}/tests/baremetal -Wl,-T,${CMAKE_SOURCE_DIR}/tests/baremetal/runtime/link.ld
      ${guest_OPTIONS} ${runtime_sources} ${CMAKE_CURRENT_SOURCE_DIR}/${guest_SOURCE} -o ${elf}
    DEPENDS ${runtime_sources} ${runtime}/bm.h ${runtime}/gic.h ${runtime}/layout.h ${runtime}/link.ld ${guest_SOURCE} VERBATIM)
  set(${out} ${elf} PARENT_SCOPE)
endfunction()
