// Which objects of a kind there are, kept by a list and the watch that follows it. Pure: it is fed with what the API
// server says, and tells whose objects have changed.
#pragma once

#include <boost/json/object.hpp>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace turnout::kubernetes {

class ObjectCache {
  public:
    /// Takes a whole list; returns the names of what is new, changed or gone. Afterwards version() is the list's.
    std::vector<std::string> replace(const boost::json::object& list);

    enum class Said {
        nothing,  ///< a bookmark, or something that is not understood
        changed,  ///< `name` is new, changed or gone
        expired,  ///< the watch is too old: list again
        failed,   ///< another error: watch again
    };
    struct Event {
        Said said = Said::nothing;
        std::string name;
    };
    /// Takes one event of the watch.
    Event take(const boost::json::object& event);

    /// Where the next watch begins; empty: a list is needed first.
    const std::string& version() const { return version_; }
    void forget_version() { version_.clear(); }
    /// The names of what there is, sorted.
    std::vector<std::string> names() const;
    /// The labels of an object; empty where it is not known or has none.
    std::string label(const std::string& name, std::string_view label) const;

  private:
    struct Known {
        std::string version;
        boost::json::object labels;
    };
    std::map<std::string, Known> known_;
    std::string version_;
};

}  // namespace turnout::kubernetes
