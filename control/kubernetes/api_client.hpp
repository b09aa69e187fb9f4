// REST with the API server: one request, one connection; and a watch, which is an answer without end.
//
// Lives on one executor of one thread. Every function may be cancelled (terminal), and throws
// system_error(operation_aborted) then.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/json/object.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "control/kubernetes/access.hpp"
#include "control/kubernetes/children.hpp"

namespace turnout::kubernetes {

/// The API server cannot be reached, or what it says is no HTTP or no JSON. Worth another try.
class ApiUnreachable : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// The API server said no; what() is "409: the object has been modified". The caller decides what to do.
class ApiRefusal : public std::runtime_error {
  public:
    ApiRefusal(unsigned status, const std::string& message)
        : std::runtime_error(std::to_string(status) + ": " + message), status_(status) {}
    unsigned status() const { return status_; }
    bool forbidden() const { return status_ == 403; }
    bool not_found() const { return status_ == 404; }
    bool conflict() const { return status_ == 409; }
    bool expired() const { return status_ == 410; }

  private:
    unsigned status_;
};

class ApiClient {
  public:
    /// Throws AccessError if certificates or keys cannot be used.
    ApiClient(boost::asio::any_io_executor executor, Access access);

    const std::string& space() const { return access_.space; }

    /// "/apis/apps/v1/namespaces/NAMESPACE/statefulsets"; with a name: of one object.
    std::string path(const Resource& resource, std::string_view name = {}) const;

    /// The object. Throws ApiRefusal (404: there is none), ApiUnreachable.
    boost::asio::awaitable<boost::json::object> get(std::string path);
    boost::asio::awaitable<boost::json::object> create(std::string path, boost::json::object object);
    /// Replaces; the object's resourceVersion must be the present one (else 409).
    boost::asio::awaitable<boost::json::object> replace(std::string path, boost::json::object object);
    /// Server-side apply, as the field manager `turnout-operator`, with force: what is written here is ours.
    boost::asio::awaitable<boost::json::object> apply(std::string path, boost::json::object object);
    /// A JSON merge patch.
    boost::asio::awaitable<boost::json::object> merge(std::string path, boost::json::object patch);
    /// Deletes, dependents in the background. What is gone already is no error.
    boost::asio::awaitable<void> remove(std::string path);

    using Line = std::function<void(const boost::json::object& event)>;
    /// GETs a watch and gives each event to `line` as it comes. Returns when the server ends it. Throws ApiRefusal,
    /// ApiUnreachable.
    boost::asio::awaitable<void> watch(std::string path, Line line);

    /// The longest silence in a watch before it is given up; bookmarks come every minute.
    static constexpr std::chrono::seconds kWatchPatience{330};

  private:
    struct Call;
    boost::asio::awaitable<boost::json::object> send(Call call);
    std::shared_ptr<boost::asio::ssl::context> trusted();

    boost::asio::any_io_executor executor_;
    Access access_;
    std::string authority_;                           ///< what tls_ trusts
    std::shared_ptr<boost::asio::ssl::context> tls_;  ///< a connection holds on to the one it was made with
};

}  // namespace turnout::kubernetes
