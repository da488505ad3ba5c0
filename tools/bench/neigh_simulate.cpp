// The table that head/neigh/SCALE.md quotes.
#include "tools/bench/benchmarks.hpp"
#include "tools/bench/solicitations.hpp"

#include <fmt/format.h>

namespace bench {

void neigh_simulate(const Common& common, const NeighOptions& options) {
  Fleet fleet;
  fleet.heads = options.heads;
  fleet.discs = options.discs;
  fleet.seed = options.seed;
  Table table(fmt::format("Solicitations at one switch: {} heads of {} discs, seed {}", fleet.heads,
                          fleet.discs, fleet.seed),
              {"neighbours kept by", "entries/head", "multicast/s", "unicast/s", "multicast/10ms",
               "unicast/10ms", "waited %", "refused %", "1 s after a restart"});
  for (const Keeping keeping : all_keepings) {
    progress(std::string(to_string(keeping)));
    const Load load = simulate(fleet, keeping);
    const auto number = [](std::uint64_t value) { return static_cast<double>(value); };
    table.add({std::string(to_string(keeping)), number(load.entries), load.multicast_per_s,
               load.unicast_per_s, number(load.multicast_peak), number(load.unicast_peak),
               100 * load.waited_share, 100 * load.refused_share, number(load.after_restart)});
  }
  table.print(common.json);
}

}  // namespace bench
