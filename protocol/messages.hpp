/// \file
/// All messages at once, for those who need both directions.
#pragma once

#include "protocol/authentication.hpp"
#include "protocol/backend_messages.hpp"
#include "protocol/errors.hpp"
#include "protocol/frontend_messages.hpp"
#include "protocol/message.hpp"
