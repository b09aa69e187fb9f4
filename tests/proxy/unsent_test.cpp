#include "proxy/unsent.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace {

using turnout::proxy::Unsent;

TEST(Unsent, FirstInFirstOut) {
    Unsent unsent;
    EXPECT_TRUE(unsent.empty());
    unsent.append("abcdef");
    unsent.pop(2);
    EXPECT_EQ(unsent.front(), "cdef");
    unsent.append("gh");
    unsent.pop(5);
    EXPECT_EQ(unsent.front(), "h");
    unsent.append("ijk");
    EXPECT_EQ(unsent.front(), "hijk");
    EXPECT_EQ(unsent.size(), 4U);
    unsent.pop(4);
    EXPECT_TRUE(unsent.empty());
    EXPECT_EQ(unsent.front(), "");
}

TEST(Unsent, TakenWholeItIsEmpty) {
    Unsent unsent;
    unsent.append("abc");
    unsent.pop(1);
    EXPECT_EQ(unsent.take(), "bc");
    EXPECT_TRUE(unsent.empty());
    unsent.append("d");
    EXPECT_EQ(unsent.front(), "d");
}

/// A socket that takes little at a time, and a server that goes on: every byte comes out, in order, at every pace.
TEST(Unsent, AtEveryPaceTheSameBytes) {
    std::string all;
    for (int i = 0; i < 5000; ++i) all += static_cast<char>('a' + i % 26);
    for (std::size_t in = 1; in < 60; in += 7) {
        for (std::size_t out = 1; out < 60; out += 5) {
            Unsent unsent;
            std::string got;
            for (std::size_t at = 0; at < all.size(); at += in) {
                unsent.append(std::string_view(all).substr(at, in));
                const std::size_t taken = std::min(out, unsent.size());
                got += unsent.front().substr(0, taken);
                unsent.pop(taken);
            }
            got += unsent.take();
            EXPECT_EQ(got, all) << in << " in, " << out << " out";
        }
    }
}

}  // namespace
