// An operator as a whole at work on a scripted API server, for the tests of this folder.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json/object.hpp>
#include <exception>
#include <functional>
#include <string>
#include <utility>

#include "control/kubernetes/fields.hpp"
#include "control/kubernetes/operator.hpp"
#include "control/kubernetes/status.hpp"
#include "tests/kubernetes/running.hpp"
#include "tests/kubernetes/scripted_api.hpp"

namespace turnout::kubernetes {

/// One operator at work.
class Worker {
  public:
    Worker(boost::asio::io_context& context, const ScriptedApi& api, std::string identity)
        : context_(context), operator_(context.get_executor(), api.access(), std::move(identity)) {
        boost::asio::co_spawn(
            context, operator_.run(),
            boost::asio::bind_cancellation_slot(stop_.slot(), [this](std::exception_ptr thrown, bool) {
                over_ = true;
                failure_ = thrown;
            }));
    }
    ~Worker() { stop(); }
    void stop() {
        if (over_) return;
        stop_.emit(boost::asio::cancellation_type::terminal);
        EXPECT_TRUE(run_until(context_, [this] { return over_; }));
        EXPECT_EQ(failure_, nullptr);
        context_.restart();
        context_.poll();
    }

    bool over() const { return over_; }

  private:
    boost::asio::io_context& context_;
    Operator operator_;
    boost::asio::cancellation_signal stop_;
    bool over_ = false;
    std::exception_ptr failure_;
};

/// A PgUpgrade that was just made.
inline boost::json::object upgrade(boost::json::object spec) {
    return {{"metadata", boost::json::object{{"uid", "u-1"}, {"generation", 1}}}, {"spec", std::move(spec)}};
}

/// The path of a PgUpgrade.
inline std::string upgrade_at(const std::string& name) {
    return "/apis/turnout.internal/v1alpha1/namespaces/default/pgupgrades/" + name;
}

/// Why it is ready, or is not; empty: it was not told yet.
inline std::string ready_reason(const ScriptedApi& api, const std::string& name) {
    const auto object = api.find(upgrade_at(name));
    if (!object) return {};
    const Status status = parse_status(object_in(*object, {"status"}));
    const Condition* const ready = status.find(condition::ready);
    return ready == nullptr ? "" : ready->reason;
}

class Operating : public testing::Test {
  protected:
    bool until(const std::function<bool()>& holds) { return run_until(context, holds); }
    bool until_ready_says(const std::string& reason, const std::string& name = "app") {
        return until([&] { return ready_reason(api, name) == reason; });
    }

    boost::asio::io_context context;
    ScriptedApi api{context};
};

}  // namespace turnout::kubernetes
