// The status page in a real browser while a real switch happens under it: what it shows is what the JSON report says.
// Its screenshots are left in build/…/page for people.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>
#include <sstream>

#include "tests/integration/http_get.hpp"
#include "tests/integration/pair.hpp"

namespace turnout::integration {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

/// As the page writes durations.
std::string micro(double us) {
    if (us < 1000) return fmt::format("{:.0f} µs", us);
    if (us < 1e6) return fmt::format("{:.{}f} ms", us / 1000, us < 1e4 ? 2 : 1);
    return fmt::format("{:.1f} s", us / 1e6);
}

std::vector<json::object> answers(const std::string& out) {
    std::vector<json::object> all;
    std::istringstream lines(out);
    for (std::string line; std::getline(lines, line);) all.push_back(json::parse(line).as_object());
    return all;
}

TEST(Page, ShowsARealSwitchAsTheReportTellsIt) {
    Pair pair({.schema = "CREATE TABLE things (id bigserial PRIMARY KEY, worker int, number int, note text)"});
    pair.sync();
    bench::Program load(
        node("driver_load.js", {std::to_string(pair.turnout().port()), Pair::kRole, Pair::kPassword, "app"}));
    ASSERT_TRUE(load.read_until(
        [](const std::string& err, const std::string&) { return std::count(err.begin(), err.end(), '\n') == 4; }));
    const bench::Connection pinned = pair.connect();
    bench::run(pinned.get(), "CREATE TEMPORARY TABLE mine (id int)");

    const fs::path folder = fs::path(TURNOUT_BINARY_DIR) / "page";
    fs::create_directories(folder);
    bench::Program::Options options =
        node("page_look.js", {fmt::format("http://127.0.0.1:{}/", pair.turnout().metrics_port()), folder.string()});
    options.input =
        "document.body.dataset.active === 'blue' && document.querySelectorAll('#pinned tr').length === 2 && "
        "document.querySelector('#tps').textContent !== '0'\n"
        "shot before-light 1200 1500 light\n"
        "document.querySelector('#note').textContent.includes('temporary')\n"
        "shot during-light 1200 1500 light\n"
        "shot during-narrow-dark 390 2600 dark\n"
        "document.body.dataset.generation === '2' && document.querySelector('#window') !== null\n"
        "shot after-light 1200 1500 light\n"
        "shot after-dark 1200 1500 dark\n"
        "shot after-narrow 390 2600 light\n"
        "shot after-narrow-dark 390 2600 dark\n";
    bench::Program browser(std::move(options));
    const auto seen = [&browser](std::size_t lines) {
        return browser.read_until([lines](const std::string&, const std::string& out) {
            return static_cast<std::size_t>(std::count(out.begin(), out.end(), '\n')) >= lines;
        });
    };
    ASSERT_TRUE(seen(2)) << browser.wait().err;
    bench::Program switching(pair.turnout().verb({"switch", "--json", "--deadline", "5m"}));
    ASSERT_TRUE(seen(5)) << "the page does not say what the switch waits for: " << browser.wait().err;
    bench::run(pinned.get(), "DROP TABLE mine");
    const bench::Exit switched = switching.wait();
    ASSERT_EQ(switched.status, 0) << switched.err;
    const json::object report = json::parse(switched.out).as_object();
    const bench::Exit exit = browser.wait();
    ASSERT_EQ(exit.status, 0) << exit.err;
    const auto looks = answers(exit.out);
    ASSERT_EQ(looks.size(), 10U) << exit.out;

    const json::object before = looks[0].at("text").as_object();
    EXPECT_NE(before.at("pinned").as_string().find("temporary"), json::string::npos) << before.at("pinned");
    EXPECT_EQ(before.at("about_blue").as_string(), "active: serves the clients");
    EXPECT_EQ(before.at("about_green").as_string().find("standby: follows, "), 0U) << before.at("about_green");

    const json::object after = looks[5].at("text").as_object();
    EXPECT_EQ(after.at("window").as_string(), micro(report.at("window_us").to_number<double>()));
    EXPECT_EQ(after.at("stall").as_string(), micro(report.at("stall_us").at("max").to_number<double>()));
    EXPECT_EQ(after.at("held").as_string(), json::serialize(report.at("sessions").at("held")));
    EXPECT_EQ(after.at("moved").as_string(), json::serialize(report.at("sessions").at("moved")));
    EXPECT_EQ(after.at("lasttitle").as_string(), "last: switched, blue to green, generation 2");
    EXPECT_EQ(after.at("about_green").as_string(), "active: serves the clients");
    for (const json::value& phase : report.at("phases").as_array())
        EXPECT_NE(after.at("phases").as_string().find(phase.at("name").as_string()), json::string::npos);

    EXPECT_TRUE(looks[5].at("problems").as_array().empty()) << looks[5].at("problems");
    for (const json::value& request : looks[5].at("requests").as_array())
        EXPECT_TRUE(
            request.as_string().starts_with(fmt::format("http://127.0.0.1:{}/", pair.turnout().metrics_port())) ||
            request.as_string().starts_with("data:"))
            << "the page asks for " << request;
    for (const std::size_t narrow : {4, 8, 9})
        EXPECT_LE(looks[narrow].at("width").to_number<int>(), 390) << "on a phone nothing sticks out";

    const fs::path path = std::string(report.at("report").as_string());
    const std::string page = http_get(pair.turnout().metrics_port(), "/reports/" + path.filename().string());
    EXPECT_NE(page.find(micro(report.at("window_us").to_number<double>())), std::string::npos);
    EXPECT_EQ(http_get(pair.turnout().metrics_port(), "/reports/../turnout.toml").find("HTTP/1.1 404"), 0U);
    bench::Program::Options look = node("page_look.js", {"file://" + path.string(), folder.string()});
    look.input =
        "document.readyState === 'complete'\nshot report-light 1100 2400 light\nshot report-dark 1100 2400 dark\n"
        "shot report-narrow 390 3000 light\nshot report-narrow-dark 390 3000 dark\n";
    const bench::Exit looked = bench::run_program(std::move(look));
    EXPECT_EQ(looked.status, 0) << looked.err;
    load.signal(SIGINT);
    load.wait();
}

}  // namespace
}  // namespace turnout::integration
