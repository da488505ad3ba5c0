// What each part of headd is made with, of the configuration.
#pragma once

#include "head/control/config.hpp"
#include "head/control/inheritance.hpp"
#include "head/control/loop_thread.hpp"
#include "head/neigh/keeper.hpp"

#include <memory>

namespace head::control {

neigh::Options keeper_options(const Config& config);
// Without make_loop. `keeper` outlives the threads.
LoopThreadOptions thread_options(const Config& config, neigh::Keeper& keeper,
                                 std::shared_ptr<Inheritance> inheritance);

}  // namespace head::control
