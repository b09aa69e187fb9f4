#include "program/operate.hpp"

#include <spdlog/spdlog.h>
#include <unistd.h>
#include <array>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>

#include "control/answer.hpp"
#include "control/kubernetes/operator.hpp"
#include "control/log.hpp"
#include "program/version.hpp"

namespace turnout::program {

namespace asio = boost::asio;

namespace {

/// The pod's name where there is one; it is unique as long as the pod lives.
std::string own_identity() {
    if (const char* const pod = std::getenv("POD_NAME"); pod != nullptr && *pod != '\0') return pod;
    std::array<char, 256> host{};
    ::gethostname(host.data(), host.size() - 1);
    return std::string(host.data()) + "-" + std::to_string(::getpid());
}

kubernetes::Access access_for(const OperatorRequest& request) {
    kubernetes::Access access = request.kubeconfig.empty() ? kubernetes::in_cluster_access(request.service_account)
                                                           : kubernetes::kubeconfig_access(request.kubeconfig);
    if (!request.space.empty()) access.space = request.space;
    return access;
}

}  // namespace

int operate(const OperatorRequest& request) {
    control::set_up_log({.format = request.json ? control::LogFormat::json : control::LogFormat::text});
    std::signal(SIGPIPE, SIG_IGN);
    asio::io_context context(1);
    std::exception_ptr failure;
    bool lost = false;
    try {
        kubernetes::Operator worker(context.get_executor(), access_for(request),
                                    request.identity.empty() ? own_identity() : request.identity);
        asio::cancellation_signal stop;
        asio::signal_set signals(context, SIGTERM, SIGINT);
        signals.async_wait([&stop](boost::system::error_code error, int) {
            if (!error) stop.emit(asio::cancellation_type::terminal);
        });
        spdlog::info("turnout {} operator begins", kVersion);
        asio::co_spawn(context, worker.run(),
                       asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr thrown, bool lease_lost) {
                           failure = thrown;
                           lost = lease_lost;
                           context.stop();
                       }));
        context.run();
    } catch (const kubernetes::AccessError& error) {
        std::cerr << "turnout: " << error.what() << std::endl;
        return static_cast<int>(control::ExitStatus::usage);
    }
    if (failure) std::rethrow_exception(failure);
    spdlog::info("turnout operator has ended");
    return lost ? static_cast<int>(control::ExitStatus::refused) : 0;
}

}  // namespace turnout::program
