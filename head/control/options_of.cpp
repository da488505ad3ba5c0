#include "head/control/options_of.hpp"

#include "head/control/reload.hpp"
#include "head/control/socket_access.hpp"

#include <utility>

namespace head::control {

neigh::Options keeper_options(const Config& config) {
  neigh::Options options;
  options.enabled = config.neighbours.enabled;
  options.mode = config.neighbours.mode;
  options.route_prefixes = config.neighbours.route_prefixes;
  options.trust = config.neighbours.trust;
  options.trust_prefixes = config.neighbours.trust_prefixes;
  options.lease = config.neighbours.lease;
  options.next_hops = config.next_hops;
  options.strategy = config.neighbours.strategy;
  options.table_netns = config.neighbours.table_netns;
  options.prefixes = config.neighbours.prefixes;
  options.responder = config.neighbours.responder;
  options.announcements = config.neighbours.announcements;
  options.leave = config.neighbours.leave;
  options.originals = config.paths.run_dir / "neighbour-settings";
  options.reconcile = config.neighbours.reconcile;
  options.recheck_limits = config.neighbours.recheck;
  options.resolutions_per_second = config.neighbours.resolve_per_second;
  options.table_max = config.neighbours.table_max;
  return options;
}

LoopThreadOptions thread_options(const Config& config, neigh::Keeper& keeper,
                                 std::shared_ptr<Inheritance> inheritance) {
  LoopThreadOptions options;
  options.look = [&keeper](const auto& stats) { keeper.look(stats); };
  options.run_dir = config.paths.run_dir;
  options.access = access_of(config.exports, "export.socket_group");
  options.payload_memory = (std::size_t{config.data.memory_mib} << 20) / data_threads(config);
  options.replay_memory =
      (std::size_t{config.discs.replay_memory_mib} << 20) / data_threads(config);
  const unsigned threads = data_threads(config);
  options.guests_max = (config.data.guests_max + threads - 1) / threads;
  options.settings = data_settings(config);
  options.inheritance = std::move(inheritance);
  return options;
}

}  // namespace head::control
