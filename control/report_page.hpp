// The report of a switch as one self-contained HTML file: for a browser, a mail, a printer, a change ticket. Pure.
#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <string_view>

namespace turnout::control {

/// A page made of a record (switch_record.hpp). Whatever a record holds is shown as text, never as markup.
std::string report_page(const boost::json::object& record);

/// Text as it is written in HTML, also within a quoted attribute.
std::string html(std::string_view text);

}  // namespace turnout::control
