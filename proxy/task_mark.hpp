// One task of a session at a time.
#pragma once

#include "proxy/session.hpp"

namespace turnout::proxy {

/// Marks a task for its lifetime; whoever waited for its end is woken.
class TaskMark {
  public:
    TaskMark(bool& mark, Session& session) : mark_(mark), session_(session) { mark_ = true; }
    ~TaskMark() {
        mark_ = false;
        session_.task_ended();
    }
    TaskMark(const TaskMark&) = delete;
    TaskMark& operator=(const TaskMark&) = delete;

  private:
    bool& mark_;
    Session& session_;
};

}  // namespace turnout::proxy
