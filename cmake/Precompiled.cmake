# turnout_precompile(<target> LIGHT|ASIO)
#
# Gives a target one of two shared precompiled headers. LIGHT is the standard library only. ASIO adds Boost.Asio,
# spdlog and fmt, and is for targets that link turnout_asio: a precompiled header is valid only where the same
# macros are defined. Sources still include what they use: the header saves time and must never be needed.

set(TURNOUT_LIGHT_HEADERS
  <algorithm> <array> <chrono> <cstddef> <cstdint> <cstring> <functional> <map> <memory> <optional> <span> <string>
  <string_view> <tuple> <unordered_map> <utility> <variant> <vector>)
set(TURNOUT_ASIO_HEADERS
  ${TURNOUT_LIGHT_HEADERS}
  <atomic> <deque> <exception> <system_error> <thread>
  <boost/asio/any_io_executor.hpp> <boost/asio/awaitable.hpp> <boost/asio/co_spawn.hpp> <boost/asio/detached.hpp>
  <boost/asio/experimental/awaitable_operators.hpp> <boost/asio/io_context.hpp> <boost/asio/ip/tcp.hpp>
  <boost/asio/local/stream_protocol.hpp> <boost/asio/post.hpp> <boost/asio/read.hpp> <boost/asio/steady_timer.hpp>
  <boost/asio/use_awaitable.hpp> <boost/asio/write.hpp> <boost/system/result.hpp>
  <fmt/format.h> <spdlog/spdlog.h>)

foreach(kind light asio)
  file(WRITE "${PROJECT_BINARY_DIR}/precompiled/${kind}.cpp.new" "// Carries the precompiled header '${kind}'.\n")
  file(COPY_FILE "${PROJECT_BINARY_DIR}/precompiled/${kind}.cpp.new" "${PROJECT_BINARY_DIR}/precompiled/${kind}.cpp"
       ONLY_IF_DIFFERENT)
  string(TOUPPER ${kind} upper)
  add_library(turnout_precompiled_${kind} OBJECT "${PROJECT_BINARY_DIR}/precompiled/${kind}.cpp")
  target_precompile_headers(turnout_precompiled_${kind} PRIVATE ${TURNOUT_${upper}_HEADERS})
endforeach()
target_link_libraries(turnout_precompiled_asio PRIVATE turnout_asio)

function(turnout_precompile target kind)
  string(TOLOWER ${kind} lower)
  target_precompile_headers(${target} REUSE_FROM turnout_precompiled_${lower})
endfunction()
