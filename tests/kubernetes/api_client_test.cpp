// The client of the API server and the watch, against a server that fails as it is told.
#include "control/kubernetes/api_client.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json/value.hpp>
#include <exception>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "control/kubernetes/fields.hpp"
#include "control/kubernetes/watcher.hpp"
#include "tests/kubernetes/running.hpp"
#include "tests/kubernetes/scripted_api.hpp"

namespace turnout::kubernetes {
namespace {

namespace asio = boost::asio;
namespace json = boost::json;

constexpr const char* kUpgrades = "/apis/turnout.internal/v1alpha1/namespaces/default/pgupgrades";

std::string at(const std::string& name) { return std::string(kUpgrades) + "/" + name; }

TEST(ApiClient, ARefusalCarriesItsStatusAndTheServersWords) {
    asio::io_context context;
    ScriptedApi api(context);
    ApiClient client(context.get_executor(), api.access());
    unsigned status = 0;
    std::string what;
    run_to_end(context, [&]() -> asio::awaitable<void> {
        try {
            co_await client.get(client.path(resource::secrets, "none"));
        } catch (const ApiRefusal& refusal) {
            status = refusal.status();
            what = refusal.what();
        }
    });
    EXPECT_EQ(status, 404u);
    EXPECT_EQ(what, "404: not found");
}

TEST(ApiClient, ARefusalOfWhatCannotBeCreatedNamesTheVerb) {
    for (const auto& [said, lacking] :
         {std::pair("statefulsets.apps", "resource \"statefulsets\" in API group \"apps\""),
          std::pair("services", "resource \"services\" in API group \"\"")}) {
        asio::io_context context;
        ScriptedApi api(context);
        api.refuse = [](const Asked&) { return std::optional(403u); };
        api.refusal = std::string(said) + " \"app-green\" is forbidden: ";
        ApiClient client(context.get_executor(), api.access());
        std::string what;
        run_to_end(context, [&]() -> asio::awaitable<void> {
            try {
                const std::string path = at("app");
                json::object object;
                co_await client.apply(path, std::move(object));
            } catch (const ApiRefusal& refusal) {
                what = refusal.what();
            }
        });
        EXPECT_EQ(what, "403: " + api.refusal + "cannot create " + lacking);
    }
}

TEST(ApiClient, AServerThatIsDownIsUnreachable) {
    Access access;
    {
        asio::io_context elsewhere;
        const ScriptedApi gone(elsewhere);
        access = gone.access();
    }
    asio::io_context context;
    ApiClient client(context.get_executor(), access);
    EXPECT_THROW(run_to_end(context,
                            [&]() -> asio::awaitable<void> {
                                const std::string path = client.path(resource::secrets, "none");
                                co_await client.get(path);
                            }),
                 ApiUnreachable);
}

TEST(ApiClient, ReadsItsTokenAgain) {
    const auto file = std::filesystem::temp_directory_path() / ("turnout-token-" + std::to_string(::getpid()));
    asio::io_context context;
    ScriptedApi api(context);
    api.put("/api/v1/namespaces/default/secrets/s", {});
    Access access = api.access();
    access.token_file = file;
    ApiClient client(context.get_executor(), access);
    std::vector<std::string> seen;
    for (const char* token : {"first", "second"}) {
        std::ofstream(file) << token << "\n";
        run_to_end(context, [&]() -> asio::awaitable<void> {
            const std::string path = client.path(resource::secrets, "s");
            co_await client.get(path);
        });
        seen.push_back(api.asked().back().token);
    }
    std::filesystem::remove(file);
    EXPECT_EQ(seen, (std::vector<std::string>{"Bearer first", "Bearer second"}));
}

TEST(ApiClient, RemovingWhatIsGoneIsNoError) {
    asio::io_context context;
    ScriptedApi api(context);
    ApiClient client(context.get_executor(), api.access());
    run_to_end(context, [&]() -> asio::awaitable<void> {
        const std::string path = client.path(resource::services, "none");
        co_await client.remove(path);
    });
    EXPECT_EQ(api.count("DELETE", "/services/none"), 1);
}

/// A watcher at work, and whom it heard of.
class Watching {
  public:
    Watching()
        : client(context.get_executor(), api.access()),
          watcher(client, resource::upgrades, "", [this](const std::string& name) { heard.push_back(name); }) {}
    ~Watching() {
        stop.emit(asio::cancellation_type::terminal);
        run_until(context, [this] { return over; });
    }
    void start() {
        asio::co_spawn(context, watcher.run(),
                       asio::bind_cancellation_slot(stop.slot(), [this](std::exception_ptr) { over = true; }));
    }
    bool until(const std::function<bool()>& holds) { return run_until(context, holds); }
    bool heard_of(const std::string& name) {
        return until([&] { return std::find(heard.begin(), heard.end(), name) != heard.end(); });
    }

    asio::io_context context;
    ScriptedApi api{context};
    ApiClient client;
    Watcher watcher;
    asio::cancellation_signal stop;
    std::vector<std::string> heard;
    bool over = false;
};

TEST(WatcherOf, HearsOfWhatIsThereAndOfWhatComes) {
    Watching test;
    test.api.put(at("one"), {});
    test.start();
    EXPECT_TRUE(test.heard_of("one"));
    test.api.put(at("two"), {});
    EXPECT_TRUE(test.heard_of("two"));
    test.heard.clear();
    test.api.erase(at("one"));
    EXPECT_TRUE(test.heard_of("one"));
    EXPECT_EQ(test.watcher.cache().names(), std::vector<std::string>{"two"});
    EXPECT_EQ(test.api.count("GET", "allowWatchBookmarks=true"), 1);
}

TEST(WatcherOf, GoesOnWhereItWasCutOff) {
    Watching test;
    test.start();
    ASSERT_TRUE(test.until([&] { return test.api.count("GET", "watch=true") == 1; }));
    test.api.put(at("one"), {});
    ASSERT_TRUE(test.heard_of("one"));
    test.api.cut_watches();
    test.api.put(at("two"), {});  // while nobody watches, perhaps
    EXPECT_TRUE(test.heard_of("two"));
    EXPECT_EQ(test.api.count("GET", "pgupgrades?") - test.api.count("GET", "watch=true"), 1) << "it listed again";
}

TEST(WatcherOf, ListsAgainWhenTheServerHasForgotten) {
    Watching test;
    test.api.put(at("one"), {});
    test.api.expired_watches = 3;
    test.start();
    ASSERT_TRUE(test.until([&] { return test.api.count("GET", "watch=true") == 4; }));
    test.api.put(at("two"), {});
    EXPECT_TRUE(test.heard_of("two"));
    EXPECT_EQ(test.api.count("GET", "pgupgrades?") - test.api.count("GET", "watch=true"), 4);
    EXPECT_EQ(std::count(test.heard.begin(), test.heard.end(), "one"), 1) << "what did not change is not news";
}

TEST(WatcherOf, OutlastsAServerThatRefusesEverything) {
    Watching test;
    int left = 3;
    test.api.refuse = [&left](const Asked&) -> std::optional<unsigned> {
        if (left-- > 0) return 500;
        return std::nullopt;
    };
    test.api.put(at("one"), {});
    test.start();
    EXPECT_TRUE(test.heard_of("one"));
}

}  // namespace
}  // namespace turnout::kubernetes
