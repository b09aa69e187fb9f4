// Keeps an ObjectCache true: lists, watches from there with bookmarks, goes on where a watch was cut off, and lists
// again when the server has forgotten what came since (410).
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <string>

#include "control/kubernetes/api_client.hpp"
#include "control/kubernetes/object_cache.hpp"

namespace turnout::kubernetes {

class Watcher {
  public:
    /// `changed` is told the name of each object that is new, changed or gone. `selector` is of labels; empty: all.
    using Changed = std::function<void(const std::string& name)>;
    Watcher(ApiClient& client, Resource resource, std::string selector, Changed changed);

    /// Until it is cancelled. The server's failures are waited out, longer and longer up to half a minute.
    boost::asio::awaitable<void> run();

    const ObjectCache& cache() const { return cache_; }
    /// Has the first list been read?
    bool listed() const { return listed_; }

  private:
    boost::asio::awaitable<void> list();
    boost::asio::awaitable<void> follow();
    std::string path(const std::string& query) const;

    ApiClient& client_;
    Resource resource_;
    std::string selector_;
    Changed changed_;
    ObjectCache cache_;
    bool listed_ = false;
    bool heard_ = false;  ///< something since the last failure
};

}  // namespace turnout::kubernetes
