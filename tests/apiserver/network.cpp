#include "tests/apiserver/network.hpp"

#include <sys/mount.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <future>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace turnout::apiserver {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;

struct Network::Listener {
    explicit Listener(asio::io_context& context) : acceptor(context) {}
    tcp::acceptor acceptor;
    std::atomic<int> to{0};  ///< 0: nowhere
    std::string told;        ///< the Service, if its verbs are told
};

namespace {

asio::ip::address_v4 address(int last) { return asio::ip::address_v4({127, 0, 10, static_cast<unsigned char>(last)}); }

template <class From, class To>
asio::awaitable<void> pump(From& from, To& to) {
    std::array<char, 64 * 1024> piece;
    boost::system::error_code error;
    while (!error) {
        const std::size_t size =
            co_await from.async_read_some(asio::buffer(piece), asio::redirect_error(asio::use_awaitable, error));
        if (error) break;
        co_await asio::async_write(to, asio::buffer(piece, size), asio::redirect_error(asio::use_awaitable, error));
    }
    boost::system::error_code ignored;
    to.shutdown(To::shutdown_send, ignored);
    if (error != asio::error::eof) from.close(ignored);
}

/// The verb that a message to a console begins, "turnout SYNC"; empty: none.
std::string verb_in(std::string_view piece) {
    for (const char* const verb : {"CHECK", "SYNC", "SWITCH", "ROLLBACK", "FINISH", "ABORT"}) {
        const auto at = piece.find(verb);
        if (at == std::string_view::npos || piece.find("AS JSON", at) == std::string_view::npos) continue;
        return std::string("turnout ") + verb;
    }
    return {};
}

/// True at the end of a console's answer.
bool is_over(std::string_view piece) { return piece.ends_with(std::string_view("Z\0\0\0\5I", 6)); }

using Socket = tcp::socket;

asio::awaitable<void> carry_questions(Socket& from, Socket& to, std::string& verb, const Passing& passing) {
    std::array<char, 16 * 1024> piece;
    boost::system::error_code error;
    for (;;) {
        const std::size_t size =
            co_await from.async_read_some(asio::buffer(piece), asio::redirect_error(asio::use_awaitable, error));
        if (error) co_return;
        const std::string begun = verb_in({piece.data(), size});
        if (!begun.empty() && !passing(begun, Moment::before)) co_return;
        co_await asio::async_write(to, asio::buffer(piece, size), asio::redirect_error(asio::use_awaitable, error));
        if (error) co_return;
        if (!begun.empty() && !passing(begun, Moment::during)) co_return;
        if (!begun.empty()) verb = begun;
    }
}

asio::awaitable<void> carry_answers(Socket& from, Socket& to, std::string& verb, const Passing& passing) {
    std::array<char, 16 * 1024> piece;
    boost::system::error_code error;
    for (;;) {
        const std::size_t size =
            co_await from.async_read_some(asio::buffer(piece), asio::redirect_error(asio::use_awaitable, error));
        if (error) co_return;
        const bool answered = !verb.empty() && is_over({piece.data(), size});
        if (answered && !passing(std::exchange(verb, {}), Moment::after)) co_return;
        co_await asio::async_write(to, asio::buffer(piece, size), asio::redirect_error(asio::use_awaitable, error));
        if (error) co_return;
    }
}

}  // namespace

Network::Network(std::filesystem::path hosts) : hosts_(std::move(hosts)) {
    write_hosts();
    if (::mount(hosts_.c_str(), "/etc/hosts", nullptr, MS_BIND, nullptr) != 0)
        throw std::runtime_error(std::string("cannot lay a file over /etc/hosts: ") + std::strerror(errno) +
                                 "; run ./dev kubernetes");
    thread_ = std::thread([this] {
        const auto work = asio::make_work_guard(context_);
        context_.run();
    });
}

Network::~Network() {
    context_.stop();
    thread_.join();
    listeners_.clear();  // before the context that their sockets live on
    ::umount2("/etc/hosts", MNT_DETACH);
}

void Network::lead(const std::string& service, std::uint16_t port, std::optional<std::uint16_t> to) {
    const std::lock_guard lock(mutex_);
    if (!addresses_.contains(service)) {
        addresses_.emplace(service, static_cast<int>(addresses_.size()) + 1);
        write_hosts();
    }
    std::shared_ptr<Listener>& listener = listeners_[{service, port}];
    if (!listener) {
        listener = std::make_shared<Listener>(context_);
        const tcp::endpoint endpoint(address(addresses_.at(service)), port);
        if (told_.contains(service)) listener->told = service;
        listener->acceptor.open(tcp::v4());
        listener->acceptor.set_option(tcp::acceptor::reuse_address(true));
        listener->acceptor.bind(endpoint);
        listener->acceptor.listen();
        asio::co_spawn(context_, accept(listener), asio::detached);
    }
    listener->to = to.value_or(0);
}

void Network::tell_verbs(std::string service, Passing passing) {
    const std::lock_guard lock(mutex_);
    told_.insert_or_assign(std::move(service), std::move(passing));
}

void Network::forget(const std::string& service) {
    const std::lock_guard lock(mutex_);
    for (auto& [key, listener] : listeners_)
        if (key.first == service) listener->to = 0;
}

std::optional<std::uint16_t> Network::leads_to(const std::string& service, std::uint16_t port) const {
    const std::lock_guard lock(mutex_);
    const auto found = listeners_.find({service, port});
    if (found == listeners_.end() || found->second->to == 0) return std::nullopt;
    return static_cast<std::uint16_t>(found->second->to.load());
}

void Network::write_hosts() const {
    // In place: what is laid over /etc/hosts is this very file.
    std::ofstream file(hosts_, std::ios::trunc);
    file << "127.0.0.1 localhost\n";
    for (const auto& [service, last] : addresses_)
        file << address(last).to_string() << " " << service << " " << service << ".default " << service
             << ".default.svc\n";
}

asio::awaitable<void> Network::accept(std::shared_ptr<Listener> listener) {
    for (;;) {
        boost::system::error_code error;
        Socket socket = co_await listener->acceptor.async_accept(asio::redirect_error(asio::use_awaitable, error));
        if (error) co_return;
        const int to = listener->to;
        if (to != 0)
            asio::co_spawn(context_, carry(std::move(socket), static_cast<std::uint16_t>(to), listener->told),
                           asio::detached);
    }
}

asio::awaitable<void> Network::carry(Socket from, std::uint16_t port, std::string told) {
    using namespace asio::experimental::awaitable_operators;
    boost::system::error_code error;
    Socket to(context_);
    const tcp::endpoint endpoint(asio::ip::address_v4::loopback(), port);
    co_await to.async_connect(endpoint, asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    from.set_option(tcp::no_delay(true), error);
    to.set_option(tcp::no_delay(true), error);
    if (told.empty()) {
        co_await (pump(from, to) && pump(to, from));
        co_return;
    }
    std::string verb;
    const Passing passing = [this, told](const std::string& step, Moment moment) {
        const std::lock_guard lock(mutex_);
        const Passing& now = told_.at(told);
        return now && now(step, moment);
    };
    co_await (carry_questions(from, to, verb, passing) || carry_answers(to, from, verb, passing));
}

}  // namespace turnout::apiserver
