/// \file
/// Finding messages in a stream of bytes, without copying them.
///
/// Recipe for one direction of a relay that reads into a large shared buffer and keeps a small stash of its own:
///
///     std::string_view bytes = stash + what was read;        // contiguous; the stash is empty nearly always
///     for (;;) {
///       Frame frame = scanner.next(bytes);
///       if (frame.state == FrameState::broken) { refuse(frame.error); return; }
///       if (frame.state == FrameState::incomplete) break;    // keep bytes as the stash; frame.missing more are needed
///       if (frame.starts()) ledger.on_frontend(frame.type, frame.body);   // once a message, at its first byte
///       bytes.remove_prefix(frame.size);                     // these bytes may be forwarded now
///     }
///     forward everything before bytes; stash = bytes;        // the stash never exceeds the inspect limit
///     if (scanner.mid_message()) nothing of our own may be put into this stream now.
#pragma once

#include "protocol/message.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace turnout::protocol {

/// What next() found at the front of the bytes.
enum class FrameState : std::uint8_t {
    whole,       ///< a complete message
    opening,     ///< the header and a prefix of a message whose rest follows; `size` bytes may be forwarded
    continuing,  ///< more bytes of the message that was opened
    incomplete,  ///< nothing can be said before `missing` more bytes have come
    broken,      ///< the stream is not PostgreSQL's protocol; the scanner stays broken
};

/// One step through the stream. Views live as long as the bytes given to next().
struct Frame {
    FrameState state = FrameState::incomplete;
    char type = 0;                ///< whole, opening, continuing: the message's type byte
    std::size_t size = 0;         ///< bytes that this step covers, header included (0 for incomplete and broken)
    std::uint64_t message = 0;    ///< whole, opening: the message's full size with type and length, in bytes
    std::string_view body = {};   ///< whole: the body; opening: the prefix of it that is there; continuing: these bytes
    std::size_t missing = 0;      ///< incomplete: how many more bytes are needed
    const char* error = nullptr;  ///< broken: what is wrong
    bool finished = false;        ///< whole, opening, continuing: this step covers the message's last byte

    /// Whether a message begins here.
    [[nodiscard]] bool starts() const noexcept { return state == FrameState::whole || state == FrameState::opening; }
};

/// Whose messages a scanner reads.
enum class Stream : std::uint8_t {
    frontend_login,  ///< from a client between StartupMessage and AuthenticationOk: only `p` and Terminate, small
                     ///< messages
    frontend,        ///< from a client afterwards
    backend,         ///< from a server
};

/// Finds messages in one direction of one connection. It holds a few numbers, allocates nothing and never copies.
///
/// A message of at most `inspect_limit` bytes is always given whole, a larger one only if all of it is there; otherwise
/// it is opened as soon as `inspect_limit` bytes of it are there and then streamed. CopyData and DataRow are never
/// looked into, so they are opened as soon as their header is there, whatever their size.
class FrameScanner {
  public:
    /// Messages up to this size are given whole, in bytes.
    static constexpr std::uint32_t default_inspect_limit = 64 * 1024;
    /// Messages of a login may not be larger than this, in bytes (PostgreSQL's own limit is 65,535).
    static constexpr std::uint32_t login_limit = 65'535;

    explicit FrameScanner(Stream stream, std::uint32_t inspect_limit = default_inspect_limit) noexcept;

    /// Looks at the front of `bytes`, which begins where the last step's `size` ended.
    [[nodiscard]] Frame next(std::string_view bytes) noexcept;

    /// How many bytes at the front are whole messages of `type`, one that nobody looks into (see above); 0 for all
    /// other types. Only between messages. To be skipped together by whoever has taken one such message already.
    [[nodiscard]] std::size_t run_of(char type, std::string_view bytes) const noexcept;

    /// Whether a message has been opened whose last byte has not been covered yet.
    [[nodiscard]] bool mid_message() const noexcept { return remaining_ > 0; }
    /// Bytes of the opened message that are still to come.
    [[nodiscard]] std::uint64_t remaining() const noexcept { return remaining_; }
    /// The same connection in its next phase: frontend_login becomes frontend. Only between messages.
    void change_stream(Stream stream) noexcept;

  private:
    [[nodiscard]] Frame broken(const char* error) noexcept;
    [[nodiscard]] const char* fault_of(char type, std::uint32_t length) const noexcept;

    std::uint64_t remaining_ = 0;
    std::uint32_t inspect_limit_;
    Stream stream_;
    char type_ = 0;
    const char* error_ = nullptr;
};

}  // namespace turnout::protocol
