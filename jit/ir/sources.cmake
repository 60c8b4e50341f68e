list(APPEND arclight_jit_SOURCES
  ir/interpreter.cpp
  ir/ir.cpp
  ir/memory_loop.cpp
  ir/printer.cpp
  ir/scalable.cpp
  ir/spin_loop.cpp
  ir/verifier.cpp
)
