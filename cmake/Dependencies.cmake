# The libraries, each by one name:
#
#   turnout_asio         Boost.Asio and Boost.Beast (compiled once, here), OpenSSL, spdlog, fmt
#   Boost::json          Boost.JSON
#   Boost::url           Boost.URL
#   turnout_libpq        libpq
#   turnout_prometheus   the core of prometheus-cpp: registry and text serializer
#   PkgConfig::YAML_CPP  yaml-cpp
#   tomlplusplus::tomlplusplus, CLI11::CLI11, GTest::gtest, benchmark::benchmark, OpenSSL::Crypto, OpenSSL::SSL

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(Boost 1.81 CONFIG REQUIRED COMPONENTS json url)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(CLI11 REQUIRED)

pkg_check_modules(YAML_CPP REQUIRED IMPORTED_TARGET yaml-cpp)  # the name of its CMake target differs by version
pkg_check_modules(LIBPQ REQUIRED IMPORTED_TARGET libpq)
add_library(turnout_libpq INTERFACE)
target_link_libraries(turnout_libpq INTERFACE PkgConfig::LIBPQ)

# Its CMake package insists on finding civetweb, zlib and curl even for the core alone; pkg-config does not.
add_library(turnout_prometheus INTERFACE)
pkg_check_modules(PROMETHEUS IMPORTED_TARGET prometheus-cpp-core)
if(PROMETHEUS_FOUND)
  target_link_libraries(turnout_prometheus INTERFACE PkgConfig::PROMETHEUS)
else()
  find_path(PROMETHEUS_INCLUDE_DIR prometheus/registry.h REQUIRED)
  find_library(PROMETHEUS_CORE_LIBRARY prometheus-cpp-core REQUIRED)
  target_include_directories(turnout_prometheus SYSTEM INTERFACE "${PROMETHEUS_INCLUDE_DIR}")
  target_link_libraries(turnout_prometheus INTERFACE "${PROMETHEUS_CORE_LIBRARY}")
endif()

# Asio and Beast are header libraries that can be compiled once instead of in every source.
add_library(turnout_asio STATIC "${CMAKE_CURRENT_LIST_DIR}/asio.cpp")
target_compile_definitions(turnout_asio PUBLIC
  BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION)
target_link_libraries(turnout_asio PUBLIC
  Boost::headers OpenSSL::SSL OpenSSL::Crypto spdlog::spdlog fmt::fmt Threads::Threads)
