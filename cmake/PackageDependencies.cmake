# Read by cpack before it makes the package. The program's libraries are Depends; what tier 2's module needs besides them
# (LLVM) is Recommends, since the module is loaded when it is first used and the guest goes on without it. CPack's own
# SHLIBDEPS makes no such difference.
find_program(shlibdeps dpkg-shlibdeps)
if(NOT shlibdeps)
  message(FATAL_ERROR "needs dpkg-shlibdeps (Debian: dpkg-dev)")
endif()
set(work ${CPACK_PACKAGE_DIRECTORY}/_CPack_Packages/shlibdeps)
file(MAKE_DIRECTORY ${work}/debian)
file(WRITE ${work}/debian/control "Source: arclight\n\nPackage: arclight\nArchitecture: any\n")
# Installed files, as the package holds them: the build's have run paths that no package owns.
execute_process(COMMAND ${CMAKE_COMMAND} --install ${CPACK_ARCLIGHT_BUILD} --prefix ${work}/tree OUTPUT_QUIET
  COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${shlibdeps} -O -dDepends ${work}/tree/bin/arclight
    -dRecommends ${work}/tree/lib/arclight/libarclight_tier2.so
  WORKING_DIRECTORY ${work} OUTPUT_VARIABLE found ERROR_VARIABLE trouble RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR "dpkg-shlibdeps: ${trouble}")
endif()
foreach(field DEPENDS RECOMMENDS)
  string(SUBSTRING ${field} 0 1 first)
  string(SUBSTRING ${field} 1 -1 rest)
  string(TOLOWER ${rest} rest)
  if(NOT found MATCHES "shlibs:${first}${rest}=([^\n]+)")
    message(FATAL_ERROR "dpkg-shlibdeps names no ${first}${rest}: ${found}")
  endif()
  set(CPACK_DEBIAN_PACKAGE_${field} "${CMAKE_MATCH_1}")
endforeach()
