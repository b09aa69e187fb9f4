/// \file
/// The list of nullable values that Bind, FunctionCall and DataRow share, and the list of formats. Used by the parsers
/// only.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "protocol/reader.hpp"
#include "protocol/writer.hpp"

namespace turnout::protocol {

/// Reads a count and as many values. Memory grows with what is really there, never with the count announced.
inline void read_values(Reader& reader, std::vector<std::optional<std::string_view>>& out) {
    out.clear();
    const std::uint16_t count = reader.uint16();
    for (std::uint16_t i = 0; i < count && reader.ok(); ++i) {
        const std::int32_t size = reader.int32();
        if (size == -1) {
            out.emplace_back(std::nullopt);
        } else if (size < 0) {
            reader.fail("a value has a negative length");
        } else {
            out.emplace_back(reader.bytes(static_cast<std::size_t>(size)));
        }
    }
}

/// Writes what read_values() reads.
inline void write_values(Writer& writer, const std::vector<std::optional<std::string_view>>& values) {
    writer.count(values.size());
    for (const auto& value : values) {
        writer.int32(value ? static_cast<std::int32_t>(value->size()) : -1);
        if (value) writer.bytes(*value);
    }
}

/// Reads a count and as many format codes.
inline void read_formats(Reader& reader, std::vector<std::int16_t>& out) {
    out.clear();
    const std::uint16_t count = reader.uint16();
    for (std::uint16_t i = 0; i < count && reader.ok(); ++i) out.push_back(reader.int16());
}

/// Writes what read_formats() reads.
inline void write_formats(Writer& writer, const std::vector<std::int16_t>& formats) {
    writer.count(formats.size());
    for (const std::int16_t format : formats) writer.int16(format);
}

}  // namespace turnout::protocol
