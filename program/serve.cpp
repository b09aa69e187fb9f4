#include "program/serve.hpp"

#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <memory>
#include <stdexcept>

#include "control/auth_file.hpp"
#include "control/config.hpp"
#include "control/console.hpp"
#include "control/controller.hpp"
#include "control/http.hpp"
#include "control/log.hpp"
#include "control/metrics.hpp"
#include "control/monitoring.hpp"
#include "program/notify.hpp"
#include "program/version.hpp"
#include "proxy/inherited_sockets.hpp"
#include "proxy/proxy.hpp"

namespace turnout::program {

namespace asio = boost::asio;

namespace {

/// Client keys live in memory and are as good as logins: no core dump may hold them, no debugger of the same user.
void forbid_core_dumps() {
    const rlimit none{0, 0};
    if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        spdlog::warn("core dumps cannot be forbidden; they would hold keys that are as good as logins");
}

void warn_of_readable_passwords(const control::Config& config) {
    struct stat status {};
    if (!control::has_passwords(config) || ::stat(config.file.c_str(), &status) != 0) return;
    if ((status.st_mode & (S_IRGRP | S_IROTH)) != 0)
        spdlog::warn("{} holds a password and can be read by others: chmod 600 {}", config.file, config.file);
}

/// All that runs on control's thread.
class Service {
  public:
    Service(const control::Config& config, bool take_over, control::StepWatch watch)
        : controller_(context_.get_executor(), {config, std::string(kVersion), take_over, &feed_, std::move(watch)},
                      metrics_, proxy::make_data_plane),
          console_(context_.get_executor(),
                   {.directory = config.admin_directory,
                    .program_version = std::string(kVersion),
                    .users = {config.admin_users, config.stats_users}},
                   [this](control::Command command, control::Progress progress) {
                       return controller_.execute(std::move(command), std::move(progress));
                   }) {}

    int run() {
        controller_.open_console(door());
        controller_.start([this](control::ExitStatus status) {
            exit_status_ = static_cast<int>(status);
            asio::co_spawn(context_, wind_up(), asio::detached);
        });
        console_.open();
        if (const std::string& listen = controller_.config().metrics_listen; !listen.empty())
            http_ = std::make_unique<control::HttpServer>(
                listen, control::monitoring_pages(metrics_, control::report_directory(controller_.config())), &feed_);
        wait_for_signal();
        notify("READY=1\n" + status_line());
        asio::co_spawn(context_, tell_the_manager(), asio::detached);
        context_.run();
        http_.reset();
        return exit_status_;
    }

  private:
    /// From the workers' threads to control's.
    control::ConsoleDoor door() {
        return {.admit =
                    [this](control::ConsoleClient client) {
                        asio::local::stream_protocol::socket socket(context_);
                        socket.assign(asio::local::stream_protocol(), client.socket);
                        asio::post(context_,
                                   [this, socket = std::move(socket), user = std::move(client.user)]() mutable {
                                       console_.admit(std::move(socket), std::move(user));
                                   });
                    },
                .cancel =
                    [this](std::int32_t pid, std::string secret) {
                        asio::post(context_, [this, pid, secret = std::move(secret)] { console_.cancel(pid, secret); });
                    }};
    }

    void wait_for_signal() {
        signals_.async_wait([this](const boost::system::error_code& error, int signal) {
            if (error) return;
            spdlog::info("signal {}: {}", signal, strsignal(signal));
            if (signal == SIGHUP) {
                asio::co_spawn(context_,
                               controller_.execute({.verb = control::Verb::reload}, [](const std::string&) {}),
                               asio::detached);
            } else {
                notify("STOPPING=1\n");
                controller_.stop(stops_++ == 0 ? control::Controller::Stop::gracefully
                                               : control::Controller::Stop::at_once);
            }
            wait_for_signal();
        });
    }

    /// For `systemctl status`.
    std::string status_line() const {
        const auto active = metrics_.active();
        return "STATUS=" + (active ? std::string(name(*active)) + " is active" : std::string("nobody is served")) +
               "\n";
    }

    /// From control's own thread: a control that hangs is not alive.
    asio::awaitable<void> tell_the_manager() {
        constexpr std::chrono::microseconds kNews{1'000'000};
        const auto period = watchdog_period();
        asio::steady_timer again(context_);
        boost::system::error_code woken;
        for (std::string told;;) {
            if (std::string now = status_line(); now != told) notify(told = std::move(now));
            if (period) notify("WATCHDOG=1\n");
            again.expires_after(period ? std::min(*period, kNews) : kNews);
            co_await again.async_wait(asio::redirect_error(asio::use_awaitable, woken));
        }
    }

    /// Lets the admin sessions read their last answer.
    asio::awaitable<void> wind_up() {
        console_.close();
        asio::steady_timer again(context_);
        boost::system::error_code woken;
        for (int i = 0; i < 100 && console_.sessions() > 0; ++i) {
            again.expires_after(std::chrono::milliseconds(10));
            co_await again.async_wait(asio::redirect_error(asio::use_awaitable, woken));
        }
        context_.stop();
    }

    control::Metrics metrics_{std::string(kVersion)};
    control::LiveFeed feed_;
    asio::io_context context_{1};
    control::Controller controller_;
    control::Console console_;
    std::unique_ptr<control::HttpServer> http_;
    asio::signal_set signals_{context_, SIGTERM, SIGINT, SIGHUP};
    int stops_ = 0;
    int exit_status_ = 0;
};

}  // namespace

int serve(const ServeRequest& request, control::StepWatch watch) {
    control::Config config;
    try {
        // RELOAD reads it again, wherever the process stands then.
        config = control::load_config(std::filesystem::absolute(request.config));
    } catch (const control::ConfigRefused& refused) {
        std::cerr << refused.what() << std::endl;
        return static_cast<int>(control::ExitStatus::usage);
    }
    if (request.check_only) {
        try {
            (void)control::load_auth_file(config.auth.auth_file);
            proxy::check_files(config.data_plane);
        } catch (const std::runtime_error& wrong) {
            std::cerr << wrong.what() << std::endl;
            return static_cast<int>(control::ExitStatus::usage);
        }
        std::cout << request.config << " is right" << std::endl;
        return 0;
    }
    control::set_up_log(config.log);
    std::signal(SIGPIPE, SIG_IGN);
    for (const std::string& problem : proxy::adopt_inherited_sockets()) spdlog::warn("{}", problem);
    forbid_core_dumps();
    warn_of_readable_passwords(config);
    spdlog::info("turnout {} begins, configured by {}", kVersion, config.file);
    Service service(config, request.take_over, std::move(watch));
    const int status = service.run();
    spdlog::info("turnout has ended");
    return status;
}

}  // namespace turnout::program
