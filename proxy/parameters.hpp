// Run-time parameters by name, as both ends of a session tell them.
#pragma once

#include <cstddef>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace turnout::proxy {

/// Names and values in the order in which they were added, packed: a session holds several such lists for life, and as
/// strings of their own they would be the larger part of what it holds. No NUL is in a name or a value, nor can be on
/// the wire.
class Parameters {
  public:
    class Iterator {
      public:
        using iterator_category = std::input_iterator_tag;
        using value_type = std::pair<std::string_view, std::string_view>;
        using difference_type = std::ptrdiff_t;
        using pointer = const value_type*;
        using reference = value_type;

        explicit Iterator(const char* at) : at_(at) {}
        value_type operator*() const {
            const std::string_view name(at_);
            return {name, at_ + name.size() + 1};
        }
        Iterator& operator++() {
            const auto [name, value] = **this;
            at_ += name.size() + value.size() + 2;
            return *this;
        }
        bool operator==(const Iterator& other) const = default;

      private:
        const char* at_;
    };

    /// Views of names and values: valid until the next change.
    Iterator begin() const { return Iterator(packed_.data()); }
    Iterator end() const { return Iterator(packed_.data() + packed_.size()); }
    /// The last value of that name, as PostgreSQL takes it.
    std::optional<std::string_view> find(std::string_view name) const;
    bool has(std::string_view name, std::string_view value) const;

    /// Behind the others, whether they have the name or not. Views of this list itself are no arguments.
    void add(std::string_view name, std::string_view value);
    /// Replaces the last value of that name, or adds it.
    void set(std::string_view name, std::string_view value);
    /// What all of them take.
    std::size_t bytes() const { return packed_.size(); }
    /// Gives back what growing has reserved.
    void shrink_to_fit() { packed_.shrink_to_fit(); }

  private:
    std::string packed_;  ///< name, NUL, value, NUL
};

}  // namespace turnout::proxy
