#include "tests/protocol/bytes.hpp"

#include <gtest/gtest.h>

namespace turnout::test {

std::string message(char type, std::string_view body) {
    const std::size_t length = body.size() + 4;
    std::string out{type};
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(length >> shift);
    return out.append(body);
}

std::string body_of(const std::string& wire) {
    const std::string body = wire.substr(5);
    EXPECT_EQ(wire, message(wire.front(), body));
    return body;
}

}  // namespace turnout::test
