# `cmake --install` and CPack's Debian package.
include(GNUInstallDirs)

install(TARGETS arclight RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
# The entry that takes QEMU's command line (guestos/qemu), told by its name.
install(CODE "file(CREATE_LINK arclight \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/arclight-qemu\" SYMBOLIC)")
# Where region_module.cpp looks for it: ../lib/arclight from the program.
if(ARCLIGHT_TIER2)
  install(TARGETS arclight_tier2 LIBRARY DESTINATION lib/arclight)
endif()

install(FILES README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs FILES_MATCHING PATTERN "*.md")

# A package has tier 2.
if(NOT ARCLIGHT_TIER2)
  return()
endif()
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_VENDOR "Arclight maintainers")
set(CPACK_PACKAGE_CONTACT "Arclight maintainers <arclight@localhost>")
set(CPACK_PACKAGE_DESCRIPTION "Arclight boots an unmodified AArch64 Linux, or a bare-metal program made for QEMU's virt board, on x86-64
 hosts with AVX2. Guest code is translated block by block; hot code is compiled again by LLVM.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION otherosfs)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
# qemu-nbd, for images that are not raw; passt, for a network through it.
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "passt, qemu-utils")
# Depends and Recommends are worked out when the package is made.
set(CPACK_PROJECT_CONFIG_FILE ${CMAKE_SOURCE_DIR}/cmake/PackageDependencies.cmake)
set(CPACK_ARCLIGHT_BUILD ${CMAKE_BINARY_DIR})
set(CPACK_VERBATIM_VARIABLES ON)
include(CPack)
