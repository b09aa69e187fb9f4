// The data plane: workers, listeners, gate. See control/data_plane.hpp for what it promises.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>

#include "control/data_plane.hpp"

namespace turnout::proxy {

/// `control`: the executor on which callbacks are invoked; its context and `directory` must outlive the data plane.
std::unique_ptr<control::DataPlane> make_data_plane(boost::asio::any_io_executor control,
                                                    control::RoleDirectory& directory);

/// Reads the files that the settings name (certificates, keys, rules, maps). Throws std::runtime_error that names what
/// cannot be used.
void check_files(const control::DataPlaneSettings& settings);

}  // namespace turnout::proxy
