// The data plane: workers, listeners, gate. See control/data_plane.hpp for what it promises.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>

#include "control/data_plane.hpp"

namespace turnout::proxy {

/// `control`: the executor on which callbacks are invoked; its context and `directory` must outlive the data plane.
std::unique_ptr<control::DataPlane> make_data_plane(boost::asio::any_io_executor control,
                                                    control::RoleDirectory& directory);

}  // namespace turnout::proxy
