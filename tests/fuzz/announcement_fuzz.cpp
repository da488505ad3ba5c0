// Whatever a host sends as a neighbour advertisement, what is told of it can be held to.
#include "head/neigh/announcements.hpp"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span message(reinterpret_cast<const std::byte*>(data), size);
  const auto found = head::neigh::parse_announcement(message, 255, 3);
  const bool good = !found || (netlink::is_unicast(found->lladdr) &&
                               !netlink::is_multicast(found->who.address) && size >= 32);
  if (!good) std::abort();
  return 0;
}
