// An API server of a few objects, by plain HTTP on loopback, that fails as it is told: for what a real one does rarely.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/json/object.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/kubernetes/access.hpp"

namespace turnout::kubernetes {

/// One request, as it came.
struct Asked {
    std::string method;
    std::string target;  ///< with its query
    std::string token;
    boost::json::object body;
};

/// Lives on the io_context of the test, beside what it serves.
class ScriptedApi {
  public:
    explicit ScriptedApi(boost::asio::io_context& context);

    /// How to reach it, in the namespace `default`.
    Access access() const;

    /// The object at a path, such as "/api/v1/namespaces/default/secrets/superuser"; nothing: there is none.
    std::optional<boost::json::object> find(const std::string& path) const;
    /// Puts an object there and tells the watchers.
    void put(const std::string& path, boost::json::object object);
    void erase(const std::string& path);

    /// Asked before each request is carried out: a status to fail it with.
    std::function<std::optional<unsigned>(const Asked&)> refuse;
    /// What it says then.
    std::string refusal = "as scripted";
    /// Watches are answered with an ERROR event of 410, so many times.
    int expired_watches = 0;
    /// Cuts all watches off now.
    void cut_watches();

    const std::vector<Asked>& asked() const { return asked_; }
    int count(std::string_view method, std::string_view part_of_target) const;

  private:
    using Request = boost::beast::http::request<boost::beast::http::string_body>;
    using Response = boost::beast::http::response<boost::beast::http::string_body>;
    boost::asio::awaitable<void> accept();
    boost::asio::awaitable<void> serve(boost::asio::ip::tcp::socket socket);
    boost::asio::awaitable<void> watch(boost::asio::ip::tcp::socket& socket, const std::string& target);
    Response answer(const Asked& asked);
    boost::json::object list(const std::string& collection) const;
    void happened(const std::string& type, const std::string& path, const boost::json::object& object);

    struct Happening {
        std::string type;
        std::string path;
        boost::json::object object;
        std::int64_t version;
    };
    boost::asio::ip::tcp::acceptor acceptor_;
    boost::asio::steady_timer news_;
    std::map<std::string, boost::json::object> objects_;
    std::vector<Happening> history_;
    std::vector<Asked> asked_;
    std::int64_t version_ = 100;
    int cuts_ = 0;
};

}  // namespace turnout::kubernetes
