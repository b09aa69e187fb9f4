#include "proxy/parameters.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace {

using turnout::proxy::Parameters;
using List = std::vector<std::pair<std::string, std::string>>;

List listed(const Parameters& parameters) {
    List list;
    for (const auto& [name, value] : parameters) list.emplace_back(name, value);
    return list;
}

TEST(Parameters, KeepTheirOrderAndEmptyValues) {
    Parameters parameters;
    EXPECT_EQ(listed(parameters), List{});
    parameters.add("application_name", "");
    parameters.add("TimeZone", "UTC");
    EXPECT_EQ(listed(parameters), (List{{"application_name", ""}, {"TimeZone", "UTC"}}));
}

TEST(Parameters, AreReplacedWhereTheyStandByLongerAndShorterValues) {
    Parameters parameters;
    parameters.add("application_name", "psql");
    parameters.add("TimeZone", "UTC");
    parameters.set("application_name", std::string(1000, 'x'));
    EXPECT_EQ(listed(parameters), (List{{"application_name", std::string(1000, 'x')}, {"TimeZone", "UTC"}}));
    parameters.set("application_name", "");
    parameters.set("TimeZone", "Europe/Stockholm");
    EXPECT_EQ(listed(parameters), (List{{"application_name", ""}, {"TimeZone", "Europe/Stockholm"}}));
    parameters.set("DateStyle", "ISO, MDY");
    EXPECT_EQ(parameters.find("DateStyle"), "ISO, MDY");
}

TEST(Parameters, OfSeveralValuesTheLastCounts) {
    Parameters parameters;
    parameters.add("TimeZone", "UTC");
    parameters.add("DateStyle", "ISO");
    parameters.add("TimeZone", "CET");
    EXPECT_EQ(parameters.find("TimeZone"), "CET");
    EXPECT_TRUE(parameters.has("TimeZone", "UTC"));
    parameters.set("TimeZone", "EET");
    EXPECT_EQ(listed(parameters), (List{{"TimeZone", "UTC"}, {"DateStyle", "ISO"}, {"TimeZone", "EET"}}));
    EXPECT_FALSE(parameters.has("TimeZone", "CET"));
}

TEST(Parameters, ANameIsFoundOnlyWhole) {
    Parameters parameters;
    parameters.add("server_version", "TimeZone");  // a value is no name
    EXPECT_EQ(parameters.find("server"), std::nullopt);
    EXPECT_EQ(parameters.find("TimeZone"), std::nullopt);
    EXPECT_EQ(parameters.find("server_version"), "TimeZone");
}

}  // namespace
