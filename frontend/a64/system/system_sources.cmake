set(SYSTEM_SOURCES
  a64/system/exceptions.cpp
  a64/system/fp_control.cpp
  a64/system/hardware_debug.cpp
  a64/system/id_registers.cpp
  a64/system/pmu.cpp
  a64/system/system_instructions.cpp
  a64/system/sysregs.cpp)
