// Which neighbour entries are shown, in which order, and as what: pure functions over the entries
// as the API's /v1/neighbours has them, whoever read them.
#pragma once

#include "tools/headctl/text.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace headctl {

// What an entry must be to be shown: each that is said narrows it, several of one kind widen it.
struct NeighFilter {
  std::vector<std::string> discs{}, devs{}, lladdrs{};
  std::vector<std::string> states{};  // In any case.
  bool stale = false, failed = false, foreign = false;
  bool conflicts = false;  // Whose link-layer address somebody contradicted.
  bool all = false;        // Also those that only the kernel itself has a use for: NOARP, NONE.
  std::string sort = "address";

  bool narrows() const {
    return !discs.empty() || !devs.empty() || !lladdrs.empty() || !states.empty() || stale ||
           failed || foreign || conflicts;
  }
};

inline constexpr const char* neigh_sort_keys[] = {
    "address", "dev", "lladdr", "state", "owner", "disc", "confirmed", "used", "updated"};

// headd's entries, with the disc each belongs to, and the kernel's others, which belong to none.
nlohmann::json merged(const nlohmann::json& of_headd, const nlohmann::json& of_kernel);

// Those that pass the filter, sorted; entries that are alike in what is sorted by, by address.
nlohmann::json chosen(const nlohmann::json& entries, const NeighFilter& filter);

Table neigh_table(const nlohmann::json& entries);
Table empty_neigh_table();  // Its heading.
// "web1 and 2 more"
std::string discs_text(std::string_view first, std::size_t count);
// Routes to discs, as /v1/neighbours has them; those that a filter of discs, interfaces, link-layer
// addresses or conflicts lets pass. None where it asks for something that only entries have.
nlohmann::json chosen_routes(const nlohmann::json& routes, const NeighFilter& filter);
Table routes_table(const nlohmann::json& routes);
// The same entries, or routes, by who says what of their link-layer addresses.
Table conflicts_table(const nlohmann::json& entries);
// One line: entries, limits, head-room, overflows, forced collections; and one for each problem.
// `source` has `table` and what else /v1/neighbours has; `shown` of the `read` entries are listed.
std::string neigh_summary(const nlohmann::json& source, std::size_t shown, std::size_t read);

}  // namespace headctl
