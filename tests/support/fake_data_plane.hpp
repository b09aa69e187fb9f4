// A data plane that carries nobody: it remembers what control asked of it, and answers at once.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/post.hpp>
#include <string>
#include <utility>
#include <vector>

#include "control/data_plane.hpp"

namespace turnout::support {

class FakeDataPlane final : public control::DataPlane {
  public:
    explicit FakeDataPlane(boost::asio::any_io_executor control) : control_(std::move(control)) {}

    /// What was asked, in order: "start", "serve green 3", "nobody: reason", "pause", ...
    std::vector<std::string> calls;
    std::vector<control::SessionView> views;
    control::DataPlaneCounters totals;
    /// What reload() answers.
    std::optional<std::string> reload_problem;
    bool drains = true;  ///< false: pause() is never done

    void start(const control::DataPlaneSettings&) override { calls.emplace_back("start"); }
    void open_console(control::ConsoleDoor) override { calls.emplace_back("open console"); }
    void serve(Side side, std::uint64_t generation) override {
        calls.push_back("serve " + std::string(name(side)) + " " + std::to_string(generation));
    }
    void serve_nobody(std::string message, std::string) override { calls.push_back("nobody: " + message); }
    std::optional<std::string> reload(const control::DataPlaneSettings& settings) override {
        calls.push_back("reload " + std::to_string(settings.max_client_connections));
        return reload_problem;
    }
    void arm(const control::ArmRequest&, Callback<control::ArmReport> done) override { answer(std::move(done), {}); }
    void disarm() override { calls.emplace_back("disarm"); }
    void close_gate(const control::CloseRequest&, Callback<control::DrainReport> done) override {
        answer(std::move(done), {});
    }
    bool claim(std::uint64_t) override { return false; }
    void claim_alive(std::uint64_t) override {}
    void give_up(std::uint64_t) override { calls.emplace_back("give up"); }
    void open_to(std::uint64_t, Side, std::uint64_t, Callback<control::Clock::time_point> done) override {
        answer(std::move(done), control::Clock::now());
    }
    void finish_moves(Callback<control::MoveReport> done) override { answer(std::move(done), {}); }
    void pause(Callback<> done) override {
        calls.emplace_back("pause");
        if (drains) boost::asio::post(control_, std::move(done));
    }
    void resume() override { calls.emplace_back("resume"); }
    void sessions(Callback<std::vector<control::SessionView>> done) override { answer(std::move(done), views); }
    control::DataPlaneCounters counters() const override { return totals; }
    void shut_down(control::Clock::time_point, Callback<> done) override {
        calls.emplace_back("shut down");
        boost::asio::post(control_, std::move(done));
    }

  private:
    template <class Value>
    void answer(Callback<Value> done, Value value) {
        boost::asio::post(control_, [done = std::move(done), value = std::move(value)] { done(value); });
    }

    boost::asio::any_io_executor control_;
};

}  // namespace turnout::support
