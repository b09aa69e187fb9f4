// What the proxy asks about a role that wants to log in, answered from one warm connection to each side.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>
#include <string>

#include "control/data_plane.hpp"
#include "control/side.hpp"

namespace turnout::control {

/// Implements RoleDirectory on the journal database of each side. Connections are made when first needed and again when
/// lost; questions that come together go as one pipeline. Answers come on control's executor, which must outlive it.
class RoleReader final : public RoleDirectory {
  public:
    /// `auth_query`, if any, gives name and verifier of the role $1 in place of pg_authid. It runs in the journal
    /// database with search_path = pg_catalog: what it names elsewhere must be qualified.
    explicit RoleReader(const Cluster& cluster, const std::string& auth_query = {});
    ~RoleReader() override;
    RoleReader(const RoleReader&) = delete;
    RoleReader& operator=(const RoleReader&) = delete;

    /// Any thread. Not answered within 5 s, or the side cannot be asked: RoleUnknown.
    void look_up(Side side, std::string user, std::string database, std::function<void(RoleAnswer)> done) override;

    /// Control's thread: answers what is open with RoleUnknown and closes the connections. Nothing is answered after
    /// it.
    void stop();

  private:
    struct Desk;  // one side's connection and questions
    std::array<std::shared_ptr<Desk>, 2> desks_;
};

}  // namespace turnout::control
