// What a full socket did not take.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace turnout::proxy {

/// Bytes that wait, first in, first out. Holds memory only while there are some, and moves each at most once on its
/// way, however little the socket takes at a time.
class Unsent {
  public:
    bool empty() const { return taken_ == bytes_.size(); }
    std::size_t size() const { return bytes_.size() - taken_; }
    /// Valid until the next change.
    std::string_view front() const { return std::string_view(bytes_).substr(taken_); }

    void append(std::string_view more) {
        if (more.empty()) return;
        if (taken_ > bytes_.size() / 2) {  // what is moved is less than what has gone
            bytes_.erase(0, taken_);
            taken_ = 0;
        }
        bytes_.append(more);
    }
    /// The first `count` have been sent; at most size().
    void pop(std::size_t count) {
        taken_ += count;
        if (empty()) clear();
    }
    void clear() {
        std::string().swap(bytes_);
        taken_ = 0;
    }
    /// All of them, of which none waits here any more.
    std::string take() {
        std::string all(front());
        clear();
        return all;
    }

  private:
    std::string bytes_;
    std::size_t taken_ = 0;
};

}  // namespace turnout::proxy
