#include "netlink/probe.hpp"

#include "netlink/link.hpp"
#include "netlink/table.hpp"

#include <system_error>
#include <unistd.h>
#include <vector>

namespace netlink {

namespace {

// Link-local, so that no route is touched, and of this process, so that two may probe at once. It
// is not used, so that nobody is asked for it. `number`: each question is put to an entry of
// its own.
NeighbourKey place(int ifindex, std::uint8_t number) {
  const auto pid = static_cast<std::uint32_t>(::getpid());
  return {ifindex,
          {0xfe, 0x80, 0, 0, 0, 0, 0, 0, our_protocol, 0, static_cast<std::uint8_t>(pid >> 24),
           static_cast<std::uint8_t>(pid >> 16), static_cast<std::uint8_t>(pid >> 8),
           static_cast<std::uint8_t>(pid), 0, number}};
}

// What becomes of the entry; one without a state where it is refused, for `error`.
Neighbour write_and_read(Table& table, const Entry& entry, std::error_code& error) {
  Neighbour found;
  const auto refused = table.set({&entry, 1});
  error = refused.empty() ? std::error_code() : refused.front().error;
  if (!error) table.get(entry.key, found);
  table.remove({&entry.key, 1});
  return found;
}

}  // namespace

namespace {

// Where an entry of ours could be made for a moment: lo, and where IPv6 is off there, others.
std::vector<int> places_to_try(Socket& socket) {
  std::vector<Link> links;
  dump_links(socket, links);
  constexpr std::size_t most = 64;
  std::vector<int> indexes;
  for (const bool loopback : {true, false})
    for (const Link& link : links)
      if ((link.name == "lo") == loopback && indexes.size() < most) indexes.push_back(link.ifindex);
  return indexes;
}

}  // namespace

Capabilities probe_capabilities() {
  Capabilities found;
  try {
    Table table;
    std::error_code error = std::make_error_code(std::errc::no_such_device);
    for (const int ifindex : places_to_try(table.socket())) {
      // Exempt from collection, it is made even where the table is full.
      Entry entry{.key = place(ifindex, 1), .lladdr = {0x02, 0, 0, 0, 0, 0x01}};
      const Neighbour learned = write_and_read(table, entry, error);
      if (error) continue;
      found.protocol = learned.ours();
      found.ext_learned = (learned.flags & ntf::ext_learned) != 0;
      std::error_code cannot;
      entry.key = place(ifindex, 2);
      entry.validated = true;
      found.validated = (write_and_read(table, entry, cannot).ext_flags & ntf::ext_validated) != 0;
      // The kernel resolves such an entry by itself, and heeds no link-layer address with it.
      entry = {
          .key = place(ifindex, 3), .lladdr = entry.lladdr, .state = nud::none, .managed = true};
      found.managed = (write_and_read(table, entry, cannot).ext_flags & ntf::ext_managed) != 0;
      return found;
    }
    throw std::system_error(error, "no interface takes a neighbour entry");
  } catch (const std::system_error& error) {
    found.problem = error.what();
  }
  return found;
}

}  // namespace netlink
