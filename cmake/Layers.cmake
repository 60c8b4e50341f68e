# Each folder is a layer, and a target sees the headers of its own layer and of those below: the include path has a folder
# for each layer that holds nothing but a link to the layer's sources, so that a wrong include does not compile.
# docs/architecture.md has the picture.
set(layers ${CMAKE_BINARY_DIR}/layers)
function(arclight_add_layer name)
  file(MAKE_DIRECTORY ${layers}/${name})
  file(CREATE_LINK ${CMAKE_SOURCE_DIR}/${name} ${layers}/${name}/${name} SYMBOLIC)
  add_library(arclight_layer_${name} INTERFACE)
  target_include_directories(arclight_layer_${name} INTERFACE ${layers}/${name})
  foreach(below ${ARGN})
    target_link_libraries(arclight_layer_${name} INTERFACE arclight_layer_${below})
  endforeach()
endfunction()

arclight_add_layer(host)
arclight_add_layer(mmu host)
arclight_add_layer(jit mmu)
arclight_add_layer(frontend jit mmu)
arclight_add_layer(backend jit mmu)
arclight_add_layer(devices mmu)
arclight_add_layer(guestos devices frontend backend jit mmu)
