# Writes OUTPUT, the C++ file with the program's version, when its content would change; run at each build.
#   cmake -DVERSION=0.1.0 -DSOURCE=DIR -DOUTPUT=FILE -P WriteVersion.cmake
# The commit is git's if SOURCE is the top of a git work tree (a tarball inside another project's is not), else what
# `git archive` put into commit.txt, else it is left out.
set(commit "")
execute_process(COMMAND git -C ${SOURCE} rev-parse --show-toplevel OUTPUT_VARIABLE top ERROR_QUIET
  OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed)
get_filename_component(source "${SOURCE}" REALPATH)
if(NOT failed AND top STREQUAL source)
  execute_process(COMMAND git -C ${SOURCE} describe --always --exclude=* --abbrev=12 --dirty=-modified OUTPUT_VARIABLE commit
    ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
else()
  file(READ ${CMAKE_CURRENT_LIST_DIR}/commit.txt commit)
  string(STRIP "${commit}" commit)
  if(NOT commit MATCHES "^[0-9a-f]+$")
    set(commit "")
  endif()
endif()

set(text "${VERSION}")
if(commit)
  string(APPEND text " (commit ${commit})")
endif()
set(content "#include \"guestos/cli/version.h\"\n\nconst char* const arclight::guestos::cli::kVersion = \"${text}\";\n")
set(old "")
if(EXISTS ${OUTPUT})
  file(READ ${OUTPUT} old)
endif()
if(NOT content STREQUAL old)
  file(WRITE ${OUTPUT} "${content}")
endif()
