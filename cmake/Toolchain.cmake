# Language, warnings, sanitizers, compiler cache and linker: the same for every target, so that precompiled
# headers can be shared between them.

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Dev, Release, RelWithDebInfo or Debug" FORCE)
endif()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

set(TURNOUT_SANITIZE "" CACHE STRING "Sanitizers: 'address,undefined' or 'thread'")

# Dev compiles fast and still runs coroutines at a bearable speed; assertions are on, line numbers are kept.
set(dev_flags "-O1 -g1")
if(TURNOUT_SANITIZE)
  set(dev_flags "-O0 -g1")  # optimizing instrumented code takes more than twice as long to compile
endif()
set(CMAKE_CXX_FLAGS_DEV "${dev_flags}" CACHE STRING "Flags of the build type Dev" FORCE)
# A proxy that goes on after a broken invariant would lose data quietly: assertions stay on in Release, too.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1" CACHE STRING "Flags of the build type Release" FORCE)
mark_as_advanced(CMAKE_CXX_FLAGS_DEV)

# Other compilers know other warnings; they are shown, and do not stop a user who only wants to build.
set(known_compiler OFF)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  set(known_compiler ON)
endif()
option(TURNOUT_WERROR "Treat warnings as errors" ${known_compiler})
add_compile_options(
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Woverloaded-virtual -Wimplicit-fallthrough
  # An aggregate with default member initializers is meant to be initialized in part.
  -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 sees these in std::string and in the frames of Asio's coroutines; AddressSanitizer looks for the same.
  add_compile_options(-Wno-array-bounds -Wno-mismatched-new-delete -Wno-restrict -Wno-stringop-overflow
                      -Wno-stringop-overread)
endif()
if(TURNOUT_WERROR)
  add_compile_options(-Werror)
endif()
add_compile_definitions($<$<CONFIG:Release>:_FORTIFY_SOURCE=2> _GLIBCXX_ASSERTIONS)

if(TURNOUT_SANITIZE)
  add_compile_options(-fsanitize=${TURNOUT_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${TURNOUT_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Instrumented code confuses these analyses, too of GCC 12; the other builds run them.
    add_compile_options(-Wno-maybe-uninitialized -Wno-tsan)
  endif()
endif()

find_program(TURNOUT_CCACHE ccache)
mark_as_advanced(TURNOUT_CCACHE)
if(TURNOUT_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # ccache declines precompiled headers unless told that their macros and times may be trusted.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      "${CMAKE_COMMAND}" -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      "${TURNOUT_CCACHE}")
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-fpch-preprocess)
endif()

# Linking a dozen test programs with the default linker takes longer than compiling them from a warm cache.
find_program(TURNOUT_LLD ld.lld)
mark_as_advanced(TURNOUT_LLD)
if(TURNOUT_LLD)
  add_link_options(-fuse-ld=lld)
endif()
