// A switch's record, and the report that is made of it.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "control/config.hpp"
#include "control/controller.hpp"
#include "control/report.hpp"
#include "control/switch_record.hpp"

namespace turnout::control {

namespace asio = boost::asio;

namespace {

/// Between two looks at the counters while a switch runs: atomic loads, no question to sessions or servers.
constexpr Milliseconds kBetweenSamples{25};
/// A switch that waits for a good moment for long is not written down in full.
constexpr std::size_t kMostSamples = 8000;

}  // namespace

void Controller::begin_record(const Command& command, const PreflightReport& preflight) {
    record_ = std::make_shared<SwitchRecord>();
    record_->verb = dashed(tag(command.verb));
    record_->version = version_;
    record_->began = std::chrono::system_clock::now();
    record_->samples.assign(recent_.samples().begin(), recent_.samples().end());
    record_->preflight = check_answer(preflight, PreflightStage::before_switch).json.at("findings").as_array();
    record_->configuration = config_rows(config_);
    asio::co_spawn(executor_, sample_switch(), asio::detached);
}

asio::awaitable<void> Controller::sample_switch() {
    const std::shared_ptr<SwitchRecord> record = record_;
    asio::steady_timer again(executor_);
    boost::system::error_code woken;
    while (!record->over && !stopping_) {
        if (record->samples.size() < kMostSamples) record->samples.push_back({Clock::now(), data_plane_->counters()});
        again.expires_after(kBetweenSamples);
        co_await again.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    }
}

void Controller::keep_record(const Command&, const SwitchReport& report) {
    record_->samples.push_back({Clock::now(), data_plane_->counters()});
    record_->over = true;
    reports_.add(record_json(*record_, report));
    record_.reset();
}

}  // namespace turnout::control
