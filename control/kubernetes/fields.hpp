// Looks into objects of the API by a path of members: what is missing or of another type is empty. Pure.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace turnout::kubernetes {

using Path = std::initializer_list<std::string_view>;

/// Nullptr: there is nothing there.
const boost::json::value* find_in(const boost::json::object& object, Path path);
/// The object or array there, or an empty one that lives for ever. Valid as long as `object`.
const boost::json::object& object_in(const boost::json::object& object, Path path);
const boost::json::array& array_in(const boost::json::object& object, Path path);
std::string text_in(const boost::json::object& object, Path path);
std::int64_t number_in(const boost::json::object& object, Path path);

}  // namespace turnout::kubernetes
