#include "head/stats/cause.hpp"

#include <array>

namespace head::stats {

namespace {

constexpr std::array<std::string_view, causes> names = {"neighbour", "reconnect", "head", "network",
                                                        "guest",     "queue",     "tail"};

}  // namespace

std::string_view to_string(Cause cause) noexcept {
  return names[static_cast<std::size_t>(cause)];
}

Cause cause_of(const Evidence& seen, Duration threshold) noexcept {
  const Duration whole = seen.journey.whole;
  const auto is_to_blame = [&](Duration time) {
    return time > whole - time || (whole - time < threshold && time * 4 >= whole);
  };
  if (seen.neighbour_missing) return Cause::neighbour;
  if (seen.no_connection) return Cause::reconnect;
  if (is_to_blame(seen.held_up)) return Cause::head;
  if (seen.packets_lost) return Cause::network;
  if (is_to_blame(seen.receiving)) return Cause::guest;
  if (is_to_blame(seen.journey.head())) return Cause::queue;
  return Cause::tail;
}

}  // namespace head::stats
